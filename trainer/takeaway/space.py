"""A classifier made with Transfer Zoo as a Gradio page: python app.py. Nothing is fetched from elsewhere."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr
from predict import Classifier  # type: ignore[import-not-found]  # the file beside this one

HERE = Path(__file__).parent
FONTS = ("system-ui", "Noto Sans", "sans-serif")
classify = Classifier(HERE / "model.onnx")
notes = classify.notes


def answer(path: str | None) -> tuple[dict[str, float] | None, str]:
    """Probabilities by label, and what they amount to in a sentence."""
    if not path:
        return None, ""
    try:
        said = classify(path)
    except (OSError, ValueError, SyntaxError):
        return None, "This file cannot be read as a picture. · 이 파일은 사진으로 읽을 수 없습니다."
    return dict(zip(classify.labels, said["probabilities"], strict=True)), sentence(said)


def sentence(said: dict[str, Any]) -> str:
    if said["unknown"]:
        return (
            "It looks like nothing this classifier has seen: **do not trust the answer.** · "
            "이 분류기가 본 적 없는 사진입니다. **답을 믿지 마세요.**"
        )
    if 1 < len(said["set"]) < len(classify.labels):
        several = html.escape(", ".join(said["set"]))
        return f"Nine times in ten it is one of / 열 번 중 아홉 번은: {several}"
    return f"{said['probability']:.1%} sure · 확신도 {said['probability']:.1%}"


def facts() -> str:
    test = notes.get("test") or {}
    if not test.get("n"):
        return "Nothing is known of its accuracy: no pictures were held out. · 정확도는 알려지지 않았습니다."
    low, high = test["interval"]
    return (
        f"Right on {test['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}) of {test['n']} pictures it had never "
        f"seen. · 처음 보는 사진 {test['n']}장 가운데 {test['accuracy']:.1%} 정답 (95 % 구간 {low:.1%}~{high:.1%})."
    )


def build() -> Any:
    examples = sorted(str(path) for path in (HERE / "examples").glob("*.jpg"))
    with gr.Blocks(title=notes["title"], analytics_enabled=False) as page:
        gr.Markdown(f"# {html.escape(notes['title'])}\n\n{facts()}")
        with gr.Row():
            picture = gr.Image(
                type="filepath", image_mode=None, label="Picture · 사진", height=320,
                webcam_options=gr.WebcamOptions(mirror=False), elem_id="picture",
            )  # fmt: skip
            with gr.Column():
                told = gr.Markdown(elem_id="told")
                shares = gr.Label(num_top_classes=5, label="Answer · 답", elem_id="shares")
        if examples:
            gr.Examples(examples, picture, cache_examples=False)
        picture.change(answer, picture, [shares, told], api_name="predict")
    return page


if __name__ == "__main__":
    build().launch(theme=gr.themes.Base(font=FONTS, font_mono=("monospace",)), footer_links=[])
