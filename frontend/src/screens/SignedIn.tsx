import { router } from "expo-router";
import { useEffect, useState } from "react";
import { Platform } from "react-native";

import { act } from "@/flow/context";
import { savedFlow } from "@/sign-in/saved-flow";
import { complete } from "@/sign-in/session";
import { SignInButton } from "@/sign-in/SignInButton";
import { useWords } from "@/strings";
import { Button, Card, Row, Screen, Text } from "@/ui";

/** Where the issuer sends a person back to on web: ends the sign-in, and resumes the saved flow. */
export function SignedIn() {
  const { t } = useWords();
  const [failed, setFailed] = useState(false);
  const [resume, setResume] = useState(false);
  useEffect(() => {
    if (Platform.OS !== "web" || begun === location.href) return;
    begun = location.href;
    const { resume, flow } = savedFlow.take();
    act({ is: "restored", flow });
    const on = resume && flow.image ? "/sending" : flow.consent ? "/image" : "/";
    complete(location.href).then(() => router.replace(on), () => { setResume(resume); setFailed(true); });
  }, []);
  return (
    <Screen narrow title={t.signIn.title}>
      <Text kind="title">{failed ? t.signIn.failed : t.signIn.title}</Text>
      {failed ? (
        <Card>
          <Text role="alert">{t.signIn.failedWay}</Text>
          <Row><SignInButton main resume={resume} /><Button label={t.failure.restart} onPress={() => router.replace("/")} /></Row>
        </Card>
      ) : <Text role="status">{t.signIn.ending}</Text>}
    </Screen>
  );
}

let begun = ""; // React mounts twice while developing, and a code is good for one try
