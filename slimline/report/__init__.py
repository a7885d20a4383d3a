"""What a person reads: figures and notes gathered, judged against the gates, and rendered."""
