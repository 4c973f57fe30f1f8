"""What a model card says, in English and in Korean."""

from __future__ import annotations

WORDS = {
    "en": {
        "title": "# Classifier of {title}",
        "what": "It tells {count} classes of pictures apart. Made with Transfer Zoo from the backbone {backbone}.",
        "sets": "Beside its answer it gives a set of answers that lacks the truth at most one time in ten, on pictures "
        "like those that calibrated it.",
        "gate": "It says where a picture is like nothing it was trained on; it takes about one familiar picture in "
        "twenty for unknown, and lets some unknown ones through. For that it carries features of up to 1,024 of the "
        "pictures that it learned from: numbers, no pictures.",
        "use": "Use",
        "right": "How right it is",
        "on": "Measured once, on {n} pictures of the test part that training, choosing and calibrating never saw. "
        "Intervals are 95 %.",
        "unmeasured": "Nothing was held out: nothing is known of its accuracy.",
        "measure": "measure",
        "value": "value",
        "interval": "95 % interval",
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced accuracy",
        "ece": "expected calibration error (15 bins)",
        "ece_debiased": "the same less what chance adds",
        "brier": "Brier score",
        "coverage": "sets for 90 % that hold the truth",
        "held_back": "familiar pictures that the gate takes for unknown",
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
        "same": "That it answers as it did in the studio",
        "parity": "Asked about {pictures} held-out pictures, this export named the same class on {agreement:.2%} of "
        "them; probabilities differed by at most {max_abs_dp:.1e} ({engine}).",
        "data": "Data and split",
        "split": "{pictures} pictures, fingerprint `{fingerprint}`; split `{split}` with seed {seed}: {train} train, "
        "{select} select, {calibration} calibrate, {test} test. Near-duplicates and bursts stay in one part.",
        "classes": "Classes",
        "limits": "Limits",
        "limit_text": "It knows its own classes only. Its figures hold for pictures like those it was tested on: other "
        "cameras, light, places or people may lower them. Do not let it decide alone where a mistake hurts someone.",
        "licence": "Licences",
        "lineage": "The backbone {backbone} (weights SHA-256 `{theirs}`) is licensed {licence}, which binds this "
        "classifier (SHA-256 `{ours}`). What its pretraining pictures and your own pictures are licensed under may "
        "bind it too.",
        "again": "To make it again",
    },
    "ko": {
        "title": "# {title} 분류기",
        "what": "사진을 {count}개 클래스로 구분합니다. Transfer Zoo에서 백본 {backbone}으로 만들었습니다.",
        "sets": "답과 함께 답의 집합을 줍니다. 보정에 쓴 것과 비슷한 사진이라면 정답이 빠질 확률이 10 % 이하입니다.",
        "gate": "학습한 것과 닮지 않은 사진이면 그렇다고 말합니다. 익숙한 사진도 스무 장에 한 장쯤 낯설다고 하고, "
        "낯선 사진을 놓치기도 합니다. 이를 위해 학습한 사진 가운데 1,024장까지의 특징을 담고 있습니다. "
        "사진이 아니라 수입니다.",
        "use": "사용법",
        "right": "얼마나 맞는가",
        "on": "학습·선택·보정에 쓰이지 않은 시험용 사진 {n}장에서 한 번만 측정했습니다. 구간은 95 % 신뢰구간입니다.",
        "unmeasured": "따로 남겨 둔 사진이 없어 정확도를 알 수 없습니다.",
        "measure": "지표",
        "value": "값",
        "interval": "95 % 구간",
        "accuracy": "정확도",
        "balanced_accuracy": "균형 정확도",
        "ece": "기대 보정 오차 (15구간)",
        "ece_debiased": "우연을 뺀 기대 보정 오차",
        "brier": "브라이어 점수",
        "coverage": "90 % 집합에 정답이 든 비율",
        "held_back": "익숙한데도 문이 낯설다고 한 비율",
        "precision": "정밀도",
        "recall": "재현율",
        "f1": "F1",
        "same": "스튜디오에서와 같은 답을 하는가",
        "parity": "시험용 사진 {pictures}장을 물었을 때 {agreement:.2%}에서 같은 클래스를 답했고, 확률의 차이는 최대 "
        "{max_abs_dp:.1e}였습니다 ({engine}).",
        "data": "데이터와 분할",
        "split": "사진 {pictures}장, 지문 `{fingerprint}`. 분할 `{split}`, 시드 {seed}: 학습 {train}, 선택 {select}, "
        "보정 {calibration}, 시험 {test}. 거의 같은 사진과 연속 촬영은 한 부분에만 있습니다.",
        "classes": "클래스",
        "limits": "한계",
        "limit_text": "자기 클래스만 압니다. 수치는 시험한 사진과 비슷한 사진에 대한 것이며, 카메라·빛·장소·사람이 "
        "다르면 낮아질 수 있습니다. "
        "실수가 누군가를 다치게 할 수 있는 일을 이것만으로 결정하지 마세요.",
        "licence": "라이선스",
        "lineage": "백본 {backbone} (가중치 SHA-256 `{theirs}`)의 라이선스는 {licence}이며, "
        "이 분류기(SHA-256 `{ours}`)에도 "
        "적용됩니다. 사전 학습 사진과 사용자의 사진에 적용되는 라이선스도 따로 지켜야 할 수 있습니다.",
        "again": "다시 만들기",
    },
}  # fmt: skip
