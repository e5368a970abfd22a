import { createElement, useRef, useState, type Ref } from "react";

import { useWords } from "@/strings";
import { Button, Row, Text } from "@/ui";

import { Camera } from "./WebCamera";

const TOUCH = "(hover: none), (pointer: coarse)";

type Props = { onChosen: (uri: string) => void; onCamera: (open: boolean) => void; again: boolean };

/** Where an image comes from on web: a file, or a camera: in the page, or the phone's own camera app where that is refused. */
export function Source({ onChosen, onCamera, again }: Props) {
  const { t } = useWords();
  const file = useRef<HTMLInputElement>(null);
  const camera = useRef<HTMLInputElement>(null);
  const [touch] = useState(() => matchMedia(TOUCH).matches);
  const [state, setState] = useState<"closed" | "open" | "denied">("closed");
  const turn = (to: typeof state) => { setState(to); onCamera(to === "open"); };
  const inPage = state !== "denied" && "mediaDevices" in navigator; // not there on a plain http address
  if (state === "open") return <Camera onShot={(uri) => { turn("closed"); onChosen(uri); }} onClose={() => turn("closed")} onDenied={() => turn("denied")} />;
  return (
    <>
      {state === "denied" ? <Text role="alert">{t.image.camera.denied}</Text> : null}
      <Row>
        <FileInput id="choose" ref={file} onChosen={onChosen} />
        <FileInput id="take" ref={camera} capture="environment" onChosen={onChosen} />
        {touch || inPage ? <Button main={!again && touch} label={t.image.take} onPress={() => (inPage ? turn("open") : camera.current?.click())} /> : null}
        <Button main={!again && !touch} label={again ? t.image.another : t.image.choose} onPress={() => file.current?.click()} />
      </Row>
    </>
  );
}

type InputProps = { id: string; ref: Ref<HTMLInputElement>; capture?: string; onChosen: (uri: string) => void };

/** Hidden: the buttons open it. */
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
