import { Redirect, router } from "expo-router";
import { useEffect, useRef, useState } from "react";
import { View, type TextInput } from "react-native";

import { Failure } from "@/api/problem";
import { loadQuestionnaire, type Question } from "@/api/questionnaire";
import { useFlow } from "@/flow/context";
import { QuestionField } from "@/questions/QuestionField";
import { complaint, usable } from "@/questions/answers";
import { fill, sentence, useWords } from "@/strings";
import { useWide } from "@/theme";
import { Button, Card, Notice, Row, Screen, Text } from "@/ui";

/** The questions in the API's order: one per screen on a phone, one page where there is room. */
export function Questions() {
  const { t } = useWords();
  const { flow, act } = useFlow();
  const wide = useWide();
  const [failed, setFailed] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const loaded = flow.questions.length > 0;
  useEffect(() => {
    if (loaded) return;
    loadQuestionnaire().then(({ questions }) => act({ is: "questions", questions }), (error: unknown) => setFailed(error instanceof Failure));
  }, [loaded, attempt, act]);
  if (!flow.image) return <Redirect href="/" />;
  const Body = wide ? AllAtOnce : OneByOne;
  return (
    <Screen narrow={!wide} title={t.questions.title}>
      <Text kind="title">{t.questions.title}</Text>
      <Text kind="soft">{t.questions.optional}</Text>
      {loaded ? <Body questions={flow.questions} /> : failed
        ? (
          <Notice>
            <Text role="alert">{t.questions.missing}</Text>
            <Row>
              <Button main label={t.failure.again} onPress={() => { setFailed(false); setAttempt(attempt + 1); }} />
              <Button label={t.questions.withoutThem} onPress={() => router.push("/sending")} />
            </Row>
          </Notice>
        )
        : <Text role="status" kind="soft">{t.questions.loading}</Text>}
    </Screen>
  );
}

function AllAtOnce({ questions }: { questions: Question[] }) {
  const { t } = useWords();
  const { flow } = useFlow();
  const { typed, type, field, checked } = useTyped();
  const sections = [...new Set(questions.map(({ section }) => section))];
  return (
    <>
      {sections.map((section) => (
        <Card key={section}>
          <Text kind="heading">{t.questions.sections[section as keyof typeof t.questions.sections] ?? section}</Text>
          {questions.filter((one) => one.section === section).map((one) => <QuestionField key={one.id} question={one} typed={typed(one)} onTyped={type} field={field} />)}
        </Card>
      ))}
      <Row><Button main label={t.questions.send} {...checked(questions)} onPress={() => router.push("/sending")} /></Row>
      {flow.failure?.kind === "answers" ? <Refused failure={flow.failure} /> : null}
    </>
  );
}

function OneByOne({ questions }: { questions: Question[] }) {
  const { t } = useWords();
  const { flow } = useFlow();
  const { typed, type, field, checked } = useTyped();
  const refused = flow.failure?.problem.errors?.[0]?.field.split(".").at(-1);
  const [at, setAt] = useState(() => Math.max(0, questions.findIndex(({ id }) => id === refused)));
  const question = questions[at]!;
  const last = at === questions.length - 1;
  return (
    <Card>
      <Text kind="small" role="status">{fill(t.questions.step, { n: at + 1, all: questions.length })}</Text>
      <QuestionField key={question.id} question={question} typed={typed(question)} onTyped={type} field={field} open />
      {flow.failure?.kind === "answers" && question.id === refused ? <Refused failure={flow.failure} /> : null}
      <Row>
        <Button label={t.nav.back} onPress={() => (at ? setAt(at - 1) : router.navigate("/image"))} />
        <Button main label={last ? t.questions.send : t.questions.next} {...checked([question])} onPress={() => (last ? router.push("/sending") : setAt(at + 1))} />
      </Row>
      {last ? null : <Button label={t.questions.skip} {...checked([question])} onPress={() => router.push("/sending")} />}
    </Card>
  );
}

/** Which answers the server refused, in the app's words: its own messages name choices by their ids, in English. */
function Refused({ failure: { problem: { errors = [] } } }: { failure: Failure }) {
  const { t, language } = useWords();
  const { flow: { questions } } = useFlow();
  const refused = questions.filter(({ id }) => errors.some(({ field }) => field === `questionnaire.${id}`));
  const messages = refused.map((one) => `${sentence(one.text, language).text} ${one.type === "integer" ? fill(t.questions.range, { min: one.minimum ?? 0, max: one.maximum ?? "" }) : t.questions.other}`);
  return <View role="alert">{(messages.length ? messages : [t.failure.answersProblem[1]!]).map((message) => <Text key={message}>{message}</Text>)}</View>;
}

/** Texts of the number fields; only a valid one becomes an answer. `checked` disables a button while one of them is invalid, and moves the focus there. */
function useTyped() {
  const { t, language } = useWords();
  const { flow, act } = useFlow();
  const [texts, setTexts] = useState<Record<string, string>>({});
  const fields = useRef<Record<string, TextInput | null>>({});
  const typed = ({ id }: Question) => texts[id] ?? String(flow.answers[id] ?? "");
  const type = (question: Question, text: string) => {
    setTexts({ ...texts, [question.id]: text });
    act({ is: "answer", id: question.id, value: usable(question, text) });
  };
  const checked = (questions: Question[]) => {
    const wrong = questions.find((question) => question.type === "integer" && complaint(question, typed(question)));
    return wrong ? { off: true, why: fill(t.questions.first, { question: sentence(wrong.text, language).text }), onOff: () => fields.current[wrong.id]?.focus() } : {};
  };
  return { typed, type, checked, field: (id: string, node: TextInput | null) => { fields.current[id] = node; } };
}
