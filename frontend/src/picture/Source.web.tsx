import { createElement, useRef, useState, type Ref } from "react";

import { useWords } from "@/strings";
import { Button, Row } from "@/ui";

const TOUCH = "(hover: none), (pointer: coarse)";

/** Where a picture comes from on web: a file, or the phone's own camera app. */
export function Source({ onChosen, again }: { onChosen: (uri: string) => void; again: boolean }) {
  const { t } = useWords();
  const file = useRef<HTMLInputElement>(null);
  const camera = useRef<HTMLInputElement>(null);
  const [touch] = useState(() => matchMedia(TOUCH).matches);
  return (
    <Row>
      <FileInput id="choose" ref={file} onChosen={onChosen} />
      <FileInput id="take" ref={camera} capture="environment" onChosen={onChosen} />
      {touch ? <Button main={!again} label={t.picture.take} onPress={() => camera.current?.click()} /> : null}
      <Button main={!again && !touch} label={again ? t.picture.another : t.picture.choose} onPress={() => file.current?.click()} />
    </Row>
  );
}

type InputProps = { id: string; ref: Ref<HTMLInputElement>; capture?: string; onChosen: (uri: string) => void };

/** Never seen: the buttons open it. */
function FileInput({ onChosen, ...rest }: InputProps) {
  return createElement("input", {
    ...rest, type: "file", accept: "image/*,.heic,.heif", hidden: true,
    onChange: (event: { target: HTMLInputElement }) => {
      const chosen = event.target.files?.[0];
      if (chosen) onChosen(URL.createObjectURL(chosen));
      event.target.value = ""; // so that the same file can be chosen again
    },
  });
}
