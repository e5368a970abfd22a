"""Small look-alikes of the data sets' layouts, with the real column names."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, width: int = 96, height: int = 72) -> Image.Image:
    """Soft patches of colour: two seeds are no near duplicates, unlike two lesions of tests.pictures."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def save(path: Path, seed: int, **options: int) -> Path:
    """A picture file of its own content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed).save(path, **options)
    return path


def table(path: Path, header: str, *lines: str) -> Path:
    """A csv file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def pictures(folder: Path, names: Sequence[str], start: int = 0) -> None:
    """One picture per name."""
    for seed, name in enumerate(names, start):
        save(folder / name, seed)


def ham10000(folder: Path, dx: str = "mel") -> None:
    table(
        folder / "HAM10000_metadata.csv",
        "lesion_id,image_id,dx,dx_type,age,sex,localization",
        "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp",
        "HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp",
        f"HAM_0002730,ISIC_0026769,{dx},histo,,unknown,unknown",
    )
    pictures(folder / "HAM10000_images_part_1", ["ISIC_0027419.jpg", "ISIC_0025030.jpg"])
    pictures(folder / "ham10000_images_part_2", ["ISIC_0026769.jpg"], 2)


def isic2020(folder: Path, dx: str = "unknown") -> None:
    table(
        folder / "train.csv",
        "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target",
        f"ISIC_1,IP_1,male,45.0,head/neck,{dx},benign,0",
        "ISIC_2,IP_1,male,45.0,torso,nevus,benign,0",
        "ISIC_3,IP_2,female,,,melanoma,malignant,1",
        "ISIC_4,IP_3,,30.0,torso,lentigo NOS,benign,0",
        "ISIC_5,IP_4,male,90.0,torso,cafe-au-lait macule,benign,0",
        "ISIC_6,IP_4,male,90.0,torso,atypical melanocytic proliferation,benign,0",
    )
    table(folder / "ISIC_2020_Training_Duplicates.csv", "image_name_1,image_name_2", "ISIC_4,ISIC_2", "ISIC_8,ISIC_9")
    pictures(folder / "jpeg" / "train", [f"ISIC_{i}.jpg" for i in range(1, 7)])


def isic2019(folder: Path, melanoma: str = "1.0") -> None:
    header = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK"
    ones = [f"ISIC_{i},{','.join('1.0' if i == j else '0.0' for j in range(9))}" for i in range(9)]
    ones[0] = f"ISIC_0,{melanoma},0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0"
    table(folder / "ISIC_2019_Training_GroundTruth.csv", header, *ones)
    people = [f"ISIC_{i},55,anterior torso,{'BCN_1' if i < 2 else ''},female" for i in range(9)]
    table(folder / "ISIC_2019_Training_Metadata.csv", "image,age_approx,anatom_site_general,lesion_id,sex", *people)
    pictures(folder / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input", [f"ISIC_{i}.jpg" for i in range(9)])


def isic2017(folder: Path, melanoma: str = "1.0") -> None:
    header = "image_id,melanoma,seborrheic_keratosis"
    table(folder / "ISIC-2017_Training_Part3_GroundTruth.csv", header, f"ISIC_1,{melanoma},0.0", "ISIC_2,0.0,1.0")
    table(folder / "ISIC-2017_Validation_Part3_GroundTruth.csv", header, "ISIC_3,0.0,0.0")
    table(folder / "ISIC-2017_Test_v2_Part3_GroundTruth.csv", header, "ISIC_4,0.0,0.0")
    people = "image_id,age_approximate,sex"
    table(folder / "Data" / "ISIC-2017_Training_Data_metadata.csv", people, "ISIC_1,65,male", "ISIC_2,unknown,unknown")
    pictures(folder / "Data", [f"ISIC_{i}.jpg" for i in range(1, 5)])
    save(folder / "Data" / "ISIC_1_superpixels.png", 9)


def kaggle10k(folder: Path, name: str = "malignant") -> None:
    base = folder / "melanoma_cancer_dataset"
    for i, part in enumerate(("train/benign", f"train/{name}", "test/benign", "test/malignant")):
        pictures(base / part, [f"melanoma_{i}.jpg"], i)


def kaggle9(folder: Path, name: str = "melanoma") -> None:
    base = folder / "Skin cancer ISIC The International Skin Imaging Collaboration"
    nine = (
        "actinic keratosis",
        "basal cell carcinoma",
        "dermatofibroma",
        name,
        "nevus",
        "pigmented benign keratosis",
        "seborrheic keratosis",
        "squamous cell carcinoma",
        "vascular lesion",
    )
    for i, kind in enumerate(nine):
        pictures(base / "Train" / kind, [f"ISIC_{i}.jpg"], i)
    pictures(base / "Test" / "nevus", ["ISIC_20.jpg"], 20)


def pad_ufes_20(folder: Path, dx: str = "NEV") -> None:
    header = (
        "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,skin_cancer_history,"
        "cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,grew,"
        "hurt,changed,bleed,elevation,img_id,biopsed"
    )
    table(
        folder / "metadata.csv",
        header,
        f"PAT_1516,1765,,,,,8,,,,,,,,ARM,,,{dx},FALSE,FALSE,FALSE,FALSE,FALSE,FALSE,PAT_1516_1765_530.png,FALSE",
        "PAT_46,881,F,F,POMERANIA,POMERANIA,55,F,FEMALE,T,T,T,T,3.0,NECK,6.0,5.0,BCC,T,T,F,T,T,T,PAT_46_881_939.png,T",
        "PAT_46,882,F,F,POMERANIA,POMERANIA,55,F,FEMALE,T,T,T,T,3.0,NECK,6.0,5.0,ACK,T,T,F,T,T,T,PAT_46_882_1.png,F",
        "PAT_47,883,F,F,POMERANIA,POMERANIA,70,F,MALE,T,T,T,T,1.0,HAND,6.0,5.0,SCC,T,T,F,T,UNK,T,PAT_47_883_2.png,T",
        "PAT_48,884,F,F,POMERANIA,POMERANIA,71,F,MALE,T,T,T,T,2.0,FACE,6.0,5.0,SEK,T,T,F,T,UNK,T,PAT_48_884_3.png,F",
    )
    names = ["PAT_1516_1765_530", "PAT_46_881_939", "PAT_46_882_1", "PAT_47_883_2", "PAT_48_884_3"]
    pictures(folder / "imgs_part_1" / "imgs_part_1", [f"{name}.png" for name in names])


def prepared(folder: Path, name: str) -> Path:
    """The form that MELALOG_DATA_DIR holds: one picture, one row without picture, one without label of ours."""
    path = folder / name / f"{name}.csv"
    path.parent.mkdir(parents=True)
    columns = ["file", "dx", "group", "lesion_id", "patient_id", "age", "sex", "site", "split", "fitspatrick"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        row = {"file": "images/a.jpg", "dx": "scc", "group": "g1", "lesion_id": "l1", "age": "45", "sex": "male"}
        row |= {"split": "test", "patient_id": "p1", "site": "back", "fitspatrick": "2.0"}
        writer.writerows([row, row | {"file": ""}, row | {"dx": "ack"}])
    save(folder / name / "images" / "a.jpg", 1)
    return folder / name
