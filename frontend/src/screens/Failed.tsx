import { router } from "expo-router";
import { useEffect, useState } from "react";

import type { Failure, Kind } from "@/api/problem";
import { useFlow } from "@/flow/context";
import { SignInButton } from "@/sign-in/SignInButton";
import { useSession } from "@/sign-in/session";
import { fill, refusal, useWords, type Strings } from "@/strings";
import { Button, Card, Notice, Row, Screen, Text } from "@/ui";

/** Why there is no answer, and the way on. */
export function Failed({ failure, onRetry }: { failure: Failure; onRetry: () => void }) {
  const { t } = useWords();
  const { act } = useFlow();
  const [title, way] = words(t, failure.kind);
  const session = useSession();
  const left = useCountdown(failure);
  const signsIn = failure.kind === "signedOut" && session?.possible;
  const again = left ? fill(t.failure.wait, { n: left }) : t.failure.again;
  const restart = () => { act({ is: "again" }); router.navigate("/"); };
  return (
    <Screen narrow title={title!}>
      <Text kind="title">{title}</Text>
      <Card>
        <Text role="alert">{signsIn ? t.signIn.toGoOn : way}</Text>
        <Details failure={failure} />
        <Text kind="soft">{t.failure.nothingLost}</Text>
        <Row>
          {failure.kind === "image" ? <Button main label={t.failure.retake} onPress={() => router.navigate("/image")} /> : null}
          {signsIn ? <SignInButton main resume onDone={onRetry} /> : null}
          {failure.kind === "answers" ? <Button main label={t.failure.answers} onPress={() => router.navigate("/questions")} /> : null}
          {RETRIED.includes(failure.kind) && !signsIn ? <Button main label={again} off={left > 0} onPress={onRetry} /> : null}
          <Button label={t.failure.restart} onPress={restart} />
        </Row>
      </Card>
    </Screen>
  );
}

const RETRIED: Kind[] = ["signedOut", "forbidden", "offline", "unreachable", "busy", "tooMany", "unreadable", "other"];

const words = (t: Strings, kind: Kind): string[] => (kind === "answers" ? t.failure.answersProblem : t.failure[kind]);

/** The server's message, where it is meant for the person and known in the app's language: the kind has a text of its own. */
function Details({ failure: { kind, problem } }: { failure: Failure }) {
  const { t, language } = useWords();
  const why = kind === "signedOut" || kind === "answers" ? null : refusal(problem.detail, t, language);
  return (
    <>
      {why ? <Notice><Text>{why}</Text></Notice> : null}
      {problem.request_id ? <Text kind="small">{fill(t.failure.request, { id: "" })}{problem.request_id}</Text> : null}
    </>
  );
}

/** Seconds until the next try, by the server's Retry-After. */
function useCountdown(failure: Failure): number {
  const [until, setUntil] = useState(() => Date.now() + 1000 * failure.wait);
  const [now, setNow] = useState(() => Date.now());
  const [of, setOf] = useState(failure);
  if (of !== failure) {
    setOf(failure);
    setUntil(now + 1000 * failure.wait);
  }
  const left = Math.max(0, Math.ceil((until - now) / 1000));
  useEffect(() => {
    if (!left) return;
    const timer = setTimeout(() => setNow(Date.now()), 500);
    return () => clearTimeout(timer);
  }, [left, now]);
  return left;
}
