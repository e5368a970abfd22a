import { createElement, useRef, useState } from "react";

import { useWords } from "@/strings";
import { Button, Row } from "@/ui";

const TOUCH = "(hover: none), (pointer: coarse)";

/** Where a picture comes from on web: a file, or the phone's own camera app. */
export function Source({ onChosen, again }: { onChosen: (uri: string) => void; again: boolean }) {
  const { t } = useWords();
  const file = useRef<HTMLInputElement>(null);
  const camera = useRef<HTMLInputElement>(null);
  const [touch] = useState(() => matchMedia(TOUCH).matches);
  const input = (id: string, ref: typeof file, more: object) => createElement("input", {
    ref, id, type: "file", accept: "image/*,.heic,.heif", hidden: true, ...more,
    onChange: (event: { target: HTMLInputElement }) => {
      const chosen = event.target.files?.[0];
      event.target.value = ""; // so that the same file can be chosen again
      if (chosen) onChosen(URL.createObjectURL(chosen));
    },
  });
  return (
    <Row>
      {input("choose", file, {})}
      {input("take", camera, { capture: "environment" })}
      {touch ? <Button main={!again} label={t.picture.take} onPress={() => camera.current?.click()} /> : null}
      <Button main={!again && !touch} label={again ? t.picture.another : t.picture.choose} onPress={() => file.current?.click()} />
    </Row>
  );
}
