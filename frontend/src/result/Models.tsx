import { router } from "expo-router";
import { useState } from "react";
import { Image, StyleSheet, View } from "react-native";

import type { Assessment, ModelInfo } from "@/client";
import type { PreparedImage } from "@/image/types";
import { fill, useWords } from "@/strings";
import { useColours } from "@/theme";
import { Button, Card, Notice, Row, Text } from "@/ui";
import { Slider } from "@/ui/Slider";

import { COLOURED, HeatMap } from "./HeatMap";
import { source, resultTexts } from "./texts";

/** The image with the heat map over it, and each model's finding. */
export function Models({ answer, image }: { answer: Assessment; image: PreparedImage }) {
  const { t, language } = useWords();
  const colours = useColours();
  const words = resultTexts(answer, t, language);
  const { classifier, vlm, picture: quality } = answer.findings;
  const poor = quality.quality === "poor" || classifier.in_distribution === false;
  return (
    <>
      <Card>
        <Text kind="heading">{t.result.image}</Text>
        <ImageWithHeatMap image={image} map={classifier.heatmap ?? null} />
        <Text>{words.quality}</Text>
        {words.photograph ? <Text kind="small">{words.photograph}</Text> : null}
        {poor ? <Row><Button label={t.failure.retake} onPress={() => router.navigate("/image")} /></Row> : null}
      </Card>
      <Card>
        <Text kind="heading">{t.result.classifier}</Text>
        <Text>{words.classifier}</Text>
        {words.unfamiliar ? <Notice tone={colours.moderate}><Text>{words.unfamiliar}</Text></Notice> : null}
        <View role="list">
          {words.shares.map(({ name, text }) => (
            <View role="listitem" key={name} style={box.share}><Text style={box.grow}>{name}</Text><Text>{text}</Text></View>
          ))}
        </View>
        <Source model={classifier.model} />
      </Card>
      <Card>
        <Text kind="heading">{t.result.vlm}</Text>
        <Text>{words.vlm}</Text>
        <Source model={vlm.model} />
      </Card>
    </>
  );
}

function Source({ model }: { model?: ModelInfo | null }) {
  const { t } = useWords();
  return model ? <Text kind="small">{source(model, t)}</Text> : null;
}

function ImageWithHeatMap({ image, map }: { image: PreparedImage; map: string | null }) {
  const { t } = useWords();
  const [opacity, setOpacity] = useState(0.6);
  return (
    <>
      <View style={box.frame}>
        <Image source={{ uri: image.uri }} alt={t.result.image} accessibilityLabel={t.result.image} style={box.fill} />
        {map ? <HeatMap base64={map} opacity={opacity} /> : null}
      </View>
      {map ? (
        <>
          <Text kind="sub">{t.result.heat}</Text>
          <Slider label={t.result.heat} value={opacity} onChange={setOpacity} text={fill(t.result.heatValue, { n: Math.round(opacity * 100) })} />
          <Text kind="small">{COLOURED ? t.result.heatNote : t.result.heatNoteLight}</Text>
        </>
      ) : <Text kind="soft">{t.result.noHeat}</Text>}
    </>
  );
}

const box = StyleSheet.create({
  frame: { width: "100%", maxWidth: 440, aspectRatio: 1, borderRadius: 12, overflow: "hidden", alignSelf: "center" }, fill: { width: "100%", height: "100%" },
  share: { flexDirection: "row", gap: 12, paddingVertical: 3 }, grow: { flex: 1 },
});
