"""What starts vLLM is in its image, under the name it is started by."""

from pathlib import Path

from services.vlm.engine.vllm import launch

FOLDER = Path(launch.__file__).parent


def test_the_program_exists_and_the_image_has_it() -> None:
    program = Path(launch.program(llama=True)[0])
    assert program.is_file()
    copied = next(
        line for line in (FOLDER / "Dockerfile").read_text().splitlines() if line.startswith("COPY launch.py")
    )
    names = copied.split()[1:-1]
    assert program.name in names
    assert all((FOLDER / name).is_file() for name in names)
