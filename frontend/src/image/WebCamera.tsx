import { useEffect, useRef, useState, type RefObject } from "react";
import { StyleSheet, View } from "react-native";

import { useWords } from "@/strings";
import { Button, Row, Text } from "@/ui";

type Props = { onShot: (uri: string) => void; onClose: () => void; onDenied: () => void };

/** The camera in the page: a square, a ring for the distance, the other camera and, where there is one, its light. */
export function Camera({ onShot, onClose, onDenied }: Props) {
  const { t } = useWords();
  const video = useRef<HTMLVideoElement>(null);
  const [facing, setFacing] = useState<"environment" | "user">("environment");
  const [torch, setTorch] = useState(false);
  const track = useCamera(video, facing, onDenied);
  const light = async () => {
    await track?.applyConstraints({ advanced: [{ torch: !torch } as MediaTrackConstraintSet] });
    setTorch(!torch);
  };
  const shoot = async () => { if (video.current) onShot(await square(video.current)); };
  return (
    <View style={box.camera}>
      <View style={box.square}>
        <video ref={video} muted playsInline autoPlay aria-label={t.image.camera.guide} style={{ width: "100%", height: "100%", objectFit: "cover" }} />
        <View pointerEvents="none" style={box.ring} />
      </View>
      <Text kind="soft">{t.image.camera.guide}</Text>
      <Button main off={!track} label={t.image.camera.shoot} onPress={() => void shoot()} />
      <Row>
        <Button label={t.image.camera.flip} onPress={() => { setTorch(false); setFacing(facing === "user" ? "environment" : "user"); }} />
        {hasTorch(track) ? <Button label={t.image.camera.torch} pressed={torch} onPress={() => void light()} /> : null}
        <Button label={t.image.camera.close} onPress={onClose} />
      </Row>
    </View>
  );
}

const hasTorch = (track: MediaStreamTrack | null): boolean => Boolean((track?.getCapabilities?.() as { torch?: boolean } | undefined)?.torch);

/** The camera's image in the video while this is shown, as sharp as the camera gives it; null until it is there. */
function useCamera(video: RefObject<HTMLVideoElement | null>, facing: string, onDenied: () => void): MediaStreamTrack | null {
  const [track, setTrack] = useState<MediaStreamTrack | null>(null);
  useEffect(() => {
    let stream: MediaStream | null = null, left = false;
    const end = () => stream?.getTracks().forEach((one) => one.stop());
    navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: facing, width: { ideal: 4096 }, height: { ideal: 4096 } } }).then((opened) => {
      stream = opened;
      if (left) return end();
      if (video.current) Object.assign(video.current, { srcObject: opened, onloadeddata: () => setTrack(opened.getVideoTracks()[0] ?? null) });
    }, () => { if (!left) onDenied(); });
    return () => { left = true; end(); setTrack(null); };
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [facing]);
  return track;
}

/** What the square shows, as an image of the camera's own pixels. */
async function square(video: HTMLVideoElement): Promise<string> {
  const side = Math.min(video.videoWidth, video.videoHeight);
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  canvas.getContext("2d")?.drawImage(video, (side - video.videoWidth) / 2, (side - video.videoHeight) / 2);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (!blob) throw new Error("no image");
  return URL.createObjectURL(blob);
}

const box = StyleSheet.create({
  camera: { gap: 12 }, square: { width: "100%", maxWidth: 440, alignSelf: "center", aspectRatio: 1, borderRadius: 12, overflow: "hidden", alignItems: "center", justifyContent: "center", backgroundColor: "#000000" },
  ring: { position: "absolute", width: "45%", aspectRatio: 1, borderRadius: 999, borderWidth: 3, borderColor: "#ffffff", borderStyle: "dashed" },
});
