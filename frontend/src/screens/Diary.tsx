import { router } from "expo-router";
import { useEffect, useState } from "react";
import { Image, StyleSheet, View } from "react-native";

import { store } from "@/diary/store";
import { days, trend, type Photo, type Spot } from "@/diary/types";
import { fill, plain, useWords } from "@/strings";
import { useColours } from "@/theme";
import { Button, Card, Notice, Row, Screen, Text } from "@/ui";

/** Spots by body site, first and latest photograph side by side. Nothing here leaves the device. */
export function Diary() {
  const { t } = useWords();
  const [spots, setSpots] = useState<Spot[]>([]);
  useEffect(() => { store.load().then(setSpots, () => setSpots([])); }, []);
  const remove = async (id: string) => {
    const rest = (await store.load()).filter((spot) => spot.id !== id);
    await store.save(rest);
    setSpots(rest);
  };
  const clear = async () => { await store.clear(); setSpots([]); };
  const sorted = [...spots].sort((a, b) => plain(t.sites, a.site).localeCompare(plain(t.sites, b.site)));
  return (
    <Screen title={t.diary.title}>
      <Text kind="title">{t.diary.title}</Text>
      <Text>{t.diary.lead}</Text>
      {spots.length ? <Text kind="soft">{t.diary.compare}</Text> : <Card><Text>{t.diary.empty}</Text></Card>}
      {sorted.map((spot) => <OneSpot key={spot.id} spot={spot} onRemove={() => void remove(spot.id)} />)}
      <Row>
        <Button main label={t.diary.back} onPress={() => router.navigate("/")} />
        {spots.length ? <ConfirmButton label={t.diary.removeAll} onConfirm={() => void clear()} /> : null}
      </Row>
    </Screen>
  );
}

function OneSpot({ spot, onRemove }: { spot: Spot; onRemove: () => void }) {
  const { t } = useWords();
  const colours = useColours();
  const latest = spot.photos.at(-1)!, before = spot.photos.at(-2), earlier = spot.photos.slice(0, -2).reverse();
  const changed = trend(spot), since = before ? days({ ...spot, photos: [before, latest] }) : 0;
  return (
    <Card>
      <Text kind="heading">{plain(t.sites, spot.site)}</Text>
      <Text kind="small">{fill(t.diary.photos, { n: spot.photos.length })}{since ? ` · ${fill(t.diary.days, { n: since })}` : ""}</Text>
      <Row>
        {before ? <PhotoView photo={before} title={t.diary.before} /> : null}
        <PhotoView photo={latest} title={t.diary.latest} />
      </Row>
      {changed ? <Notice tone={changed === "rose" ? colours.high : colours.edge}><Text>{t.diary[changed]}</Text></Notice> : null}
      {earlier.length ? <Row>{earlier.map((photo) => <PhotoView key={photo.id} photo={photo} title="" />)}</Row> : null}
      <Row><ConfirmButton label={t.diary.remove} onConfirm={onRemove} /></Row>
    </Card>
  );
}

function PhotoView({ photo, title }: { photo: Photo; title: string }) {
  const { t, language } = useWords();
  const date = new Date(photo.date).toLocaleDateString(language, { dateStyle: "medium" });
  const alt = fill(t.diary.alt, { date });
  return (
    <View style={title ? box.large : box.small}>
      <Image source={{ uri: photo.image }} alt={alt} accessibilityLabel={alt} style={box.image} />
      <Text kind="small">{title ? `${title}: ` : ""}{date}, {fill(t.diary.levelThen, { level: t.result.levels[photo.level].toLocaleLowerCase(language) })}</Text>
    </View>
  );
}

function ConfirmButton({ label, onConfirm }: { label: string; onConfirm: () => void }) {
  const { t } = useWords();
  const [confirming, setConfirming] = useState(false);
  if (!confirming) return <Button label={label} onPress={() => setConfirming(true)} />;
  return (
    <Row>
      <Text role="alert">{t.diary.sure}</Text>
      <Button label={t.diary.yes} onPress={() => { setConfirming(false); onConfirm(); }} />
      <Button label={t.diary.no} onPress={() => setConfirming(false)} />
    </Row>
  );
}

const box = StyleSheet.create({ large: { width: 240, maxWidth: "46%", gap: 4 }, small: { width: 120, gap: 4 }, image: { width: "100%", aspectRatio: 1, borderRadius: 10 } });
