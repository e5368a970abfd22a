import numpy as np
import torch
from PIL import Image

from models.classifier.evaluation.measurement import run
from models.classifier.serving.artifact import MODEL_FILE, RELEASED
from models.vlm.network import small
from models.vlm.training.pretrain.questions import corpus
from models.vlm.training.pretrain.vision import ClassifierTeacher, Student, loss, to_student


def test_the_teachers_features_are_what_it_averages() -> None:
    teacher = ClassifierTeacher(RELEASED)
    images = torch.rand(2, 3, teacher.size, teacher.size, generator=torch.Generator().manual_seed(0))
    classes, features = teacher(images)
    found = run(RELEASED / MODEL_FILE, images.mul(255).round().byte().permute(0, 2, 3, 1).numpy())
    assert features.shape[:2] == (2, teacher.width)
    np.testing.assert_allclose(features.mean((2, 3)), found["embedding"], atol=1e-4)
    np.testing.assert_allclose(classes, found["classes"], atol=1e-5)


def test_a_picture_is_normalised_as_the_processor_does_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (small.SIDE, small.SIDE, 3)).astype(np.uint8)
    served = small.processor(corpus()).image_processor(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
    trained = to_student(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(served[0, 0], trained, atol=1e-5, rtol=0)


def test_the_student_learns_from_the_teacher() -> None:
    torch.manual_seed(0)
    teacher = ClassifierTeacher(RELEASED)
    student = Student(teacher.width)
    images, labels = torch.rand(4, 3, teacher.size, teacher.size), torch.tensor([0, 1, 4, 5])
    before = loss(student, images, labels, teacher)
    before.backward()
    assert all(p.grad is not None for name, p in student.named_parameters() if "tile_positional" not in name)
    torch.optim.AdamW(student.parameters(), 1e-3).step()
    assert loss(student, images, labels, teacher) < before
