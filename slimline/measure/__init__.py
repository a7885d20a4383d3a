"""All figures that we report: raw counts are fields, everything derived is a property. No torch."""
