import { CameraView, useCameraPermissions, type CameraType } from "expo-camera";
import { launchImageLibraryAsync } from "expo-image-picker";
import { useRef, useState } from "react";
import { StyleSheet, View } from "react-native";

import { useWords } from "@/strings";
import { Button, Row, Text } from "@/ui";

type Props = { onChosen: (uri: string) => void; onCamera: (open: boolean) => void; again: boolean };

/** Where an image comes from on a phone: the camera with a square frame and a ring for the distance, or the library. */
export function Source({ onChosen, onCamera, again }: Props) {
  const { t } = useWords();
  const [open, setOpen] = useState(false);
  const [permission, request] = useCameraPermissions();
  const [denied, setDenied] = useState(false);
  const turn = (on: boolean) => { setOpen(on); onCamera(on); };
  const camera = async () => {
    const { granted } = permission?.granted ? permission : await request();
    turn(granted);
    setDenied(!granted);
  };
  const library = async () => {
    const { assets } = await launchImageLibraryAsync({ mediaTypes: ["images"], exif: false });
    if (assets?.[0]) onChosen(assets[0].uri);
  };
  if (open) return <Camera onShot={(uri) => { turn(false); onChosen(uri); }} onClose={() => turn(false)} />;
  return (
    <>
      {denied ? <Text role="alert">{t.image.camera.denied}</Text> : null}
      <Row>
        <Button main={!again} label={t.image.take} onPress={() => void camera()} />
        <Button label={again ? t.image.another : t.image.choose} onPress={() => void library()} />
      </Row>
    </>
  );
}

function Camera({ onShot, onClose }: { onShot: (uri: string) => void; onClose: () => void }) {
  const { t } = useWords();
  const view = useRef<CameraView>(null);
  const [facing, setFacing] = useState<CameraType>("back");
  const [torch, setTorch] = useState(false);
  const shoot = async () => {
    const shot = await view.current?.takePictureAsync({ exif: false, quality: 1 });
    if (shot) onShot(shot.uri);
  };
  return (
    <View style={box.camera}>
      <View style={box.square}>
        <CameraView ref={view} style={StyleSheet.absoluteFill} facing={facing} enableTorch={torch} ratio="1:1" autofocus="on" />
        <View pointerEvents="none" style={box.ring} />
      </View>
      <Text kind="soft">{t.image.camera.guide}</Text>
      <Button main label={t.image.camera.shoot} onPress={() => void shoot()} />
      <Row>
        <Button label={t.image.camera.flip} onPress={() => setFacing(facing === "back" ? "front" : "back")} />
        <Button label={t.image.camera.torch} pressed={torch} onPress={() => setTorch(!torch)} />
        <Button label={t.image.camera.close} onPress={onClose} />
      </Row>
    </View>
  );
}

const box = StyleSheet.create({
  camera: { gap: 12 }, square: { width: "100%", aspectRatio: 1, borderRadius: 12, overflow: "hidden", alignItems: "center", justifyContent: "center" },
  ring: { width: "45%", aspectRatio: 1, borderRadius: 999, borderWidth: 3, borderColor: "#ffffff", borderStyle: "dashed" },
});
