import { useSyncExternalStore } from "react";
import { Platform } from "react-native";

import { server as api } from "@/api/server";
import type { SignIn } from "@/client";

import type { Pending, Tokens } from "./oidc";
import { store } from "./store";

const TOKENS = "melalog-tokens", PENDING = "melalog-sign-in", LEFT = "melalog-signed-out";
const MARGIN_MS = 30_000;

/** Whether this server wants a sign-in, whether an app can do it, and whether it is done. Undefined until it is known. */
export type Session = { required: boolean; possible: boolean; signedIn: boolean };

let session: Session | undefined;
let tokens: Tokens | null = null;
let told: Promise<SignIn> | undefined;
let renewing: Promise<string | null> | undefined;
const listeners = new Set<() => void>();
const oidc = () => import("./oidc"); // only where it is needed: most servers of the app's first users ask for no sign-in

export const useSession = () => useSyncExternalStore(subscribe, () => session, () => session);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (!session) void asked().catch(() => undefined);
  return () => listeners.delete(listener);
}

/** What the server says of sign-in, asked once. Throws when it cannot be asked. */
function asked(): Promise<SignIn> {
  told ??= ask().catch((error: unknown) => { told = undefined; throw error; });
  return told;
}

async function ask(): Promise<SignIn> {
  const { data } = await api.signIn();
  if (!data) throw new Error("no answer");
  const kept = data.required ? await store.get(TOKENS) : null;
  if (kept) tokens = JSON.parse(kept) as Tokens;
  tell({ required: data.required, possible: Boolean(data.issuer && data.client_id), signedIn: tokens !== null });
  return data;
}

function tell(changed: Session): void {
  session = changed;
  for (const listener of listeners) listener();
}

async function keep(found: Tokens | null): Promise<void> {
  tokens = found;
  await (found ? store.set(TOKENS, JSON.stringify(found)) : store.remove(TOKENS));
  if (session) tell({ ...session, signedIn: found !== null });
}

/** The token to send, if any; refreshed when it is about to end, or when `renew` says that it was refused. */
export async function bearer(renew = false): Promise<string | null> {
  const server = await asked().catch(() => null);
  if (!server?.required || !tokens) return null;
  if (!renew && tokens.until > Date.now() + MARGIN_MS) return tokens.bearer;
  renewing ??= another(server, tokens).finally(() => { renewing = undefined; });
  return renewing;
}

async function another(server: SignIn, { refresh }: Tokens): Promise<string | null> {
  const found = refresh ? await oidc().then(({ refreshed }) => refreshed(server, refresh)).catch(() => null) : null;
  await keep(found);
  return found?.bearer ?? null;
}

/** Signs in. On web this leaves the page, and `complete` goes on from /signed-in. Throws when the issuer cannot be reached or refuses. */
export async function begin(): Promise<void> {
  const server = await asked();
  const anew = (await store.get(LEFT)) !== null;
  const { beginning, prompted } = await oidc();
  if (Platform.OS === "web") {
    const { url, pending } = await beginning(server, anew);
    await store.set(PENDING, JSON.stringify(pending));
    location.assign(url);
    await new Promise(() => undefined); // the page is about to go
  }
  await keep(await prompted(server, anew));
  await store.remove(LEFT);
}

/** Ends what `begin` began on web. Throws when the issuer refused, or when nothing was begun in this tab. */
export async function complete(url: string): Promise<void> {
  const pending = await store.get(PENDING);
  if (!pending) throw new Error("nothing was begun here");
  await store.remove(PENDING); // a code is good for one try
  const server = await asked();
  const { ended } = await oidc();
  await keep(await ended(server, url, JSON.parse(pending) as Pending));
  await store.remove(LEFT);
}

/** Forgets the tokens at once, and tells the issuer if it can be told. */
export async function signOut(): Promise<void> {
  const gone = tokens;
  await keep(null);
  await store.set(LEFT, "1");
  if (gone) await asked().then(async (server) => (await oidc()).revoked(server, gone.refresh ?? gone.bearer)).catch(() => undefined);
}
