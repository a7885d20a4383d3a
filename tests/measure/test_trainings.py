from dataclasses import replace

from slimline.measure.trainings import Training

HERE = Training("qat_finetune", "a" * 64, "cpu", "Test CPU", "AVX2", "2", "2.14.1")


def test_what_differs_is_told() -> None:
    there = replace(HERE, kernels="AVX512", num_threads="4")
    assert HERE.differs_in(there) == (
        "on another type of CPU (Test CPU AVX2, there Test CPU AVX512); "
        "with another number of threads (2, there 4)"
    )


def test_what_an_older_model_does_not_tell_is_no_difference() -> None:
    assert HERE.differs_in(replace(HERE, device="", cpu="", kernels="", torch="")) == ""
    assert replace(HERE, kernels="").differs_in(HERE) == ""
    told = HERE.differs_in(replace(HERE, cpu="Other CPU", kernels=""))
    assert told == "on another type of CPU (Test CPU AVX2, there Other CPU)"
