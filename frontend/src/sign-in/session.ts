import { useSyncExternalStore } from "react";
import { Platform } from "react-native";

import { IDLE_MS, line } from "@/api/line";
import { Failure, failureOf } from "@/api/problem";
import { server as api } from "@/api/server";
import { isOffline, onOffline } from "@/api/transport";
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
const reached = () => line({ isOffline, onOffline });
const listeners = new Set<() => void>();
const oidc = () => import("./oidc"); // only where it is needed: most servers of the app's first users ask for no sign-in

export const useSession = () => useSyncExternalStore(subscribe, () => session, () => session);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (!session) void asked().catch(() => undefined);
  return () => listeners.delete(listener);
}

/** What the server says of sign-in, asked once. Throws Failure when it cannot be asked. */
function asked(): Promise<SignIn> {
  told ??= ask().catch((error: unknown) => { told = undefined; throw error; });
  return told;
}

async function ask(): Promise<SignIn> {
  const { signal, wait } = reached();
  const { data, response } = await wait(IDLE_MS, () => api.signIn({ signal }));
  if (!response) throw new Failure(isOffline() ? "offline" : "unreachable");
  if (!data) throw failureOf(response.status, {}, response.headers.get("retry-after"));
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

/**
 * The token to send, null where there is none; refreshed when it is about to end, or when `renew` says that it was refused.
 * Throws Failure where the server or the issuer cannot be asked: that signs nobody out.
 */
export async function bearer(renew = false): Promise<string | null> {
  const server = await asked();
  if (!server.required || !tokens) return null;
  const { bearer: old, until, refresh } = tokens;
  const holds = () => !renew && until > Date.now();
  if (holds() && (!refresh || until > Date.now() + MARGIN_MS)) return old;
  renewing ??= another(server, tokens).finally(() => { renewing = undefined; });
  return renewing.catch((error: unknown) => {
    if (holds()) return old; // its last seconds are as good as the first
    throw error;
  });
}

/** Null, and signed out, where nothing renews the tokens any more. Throws Failure where the issuer did not say so. */
async function another(server: SignIn, { refresh }: Tokens): Promise<string | null> {
  const found = refresh ? await renewed(server, refresh) : null;
  await keep(found);
  return found?.bearer ?? null;
}

async function renewed(server: SignIn, refresh: string): Promise<Tokens | null> {
  const refused = (error: { code?: string }) => {
    if (error.code === "invalid_grant") return null; // RFC 6749, 5.2: ended or revoked; whatever else goes wrong may pass
    throw error;
  };
  return reached().wait(2 * IDLE_MS, () => oidc().then(({ refreshed }) => refreshed(server, refresh)).catch(refused));
}

/** Signs in. On web this leaves the page, and `complete` goes on from /signed-in. Throws when the issuer cannot be reached or refuses. */
export async function begin(): Promise<void> {
  const server = await asked();
  const anew = (await store.get(LEFT)) !== null;
  const { beginning, prompted } = await oidc();
  if (Platform.OS === "web") {
    const { url, pending } = await reached().wait(2 * IDLE_MS, () => beginning(server, anew));
    await store.set(PENDING, JSON.stringify(pending));
    addEventListener("pageshow", forget);
    location.assign(url);
    await new Promise(() => undefined); // the page is about to go
  }
  await keep(await prompted(server, anew));
  await store.remove(LEFT);
}

/** The browser brought back the page that was left, with all that was in hand on it: not after that sign-in has ended. */
async function forget(): Promise<void> {
  if (!(await store.get(PENDING))) location.reload();
}

/** Ends what `begin` began on web. Throws when the issuer refused, or when nothing was begun in this tab. */
export async function complete(url: string): Promise<void> {
  const pending = await store.get(PENDING);
  if (!pending) throw new Error("nothing was begun here");
  await store.remove(PENDING); // a code is good for one try
  const server = await asked();
  const { ended } = await oidc();
  await keep(await reached().wait(2 * IDLE_MS, () => ended(server, url, JSON.parse(pending) as Pending)));
  await store.remove(LEFT);
}

/** Forgets the tokens at once, and tells the issuer if it can be told. */
export async function signOut(): Promise<void> {
  const gone = tokens;
  await keep(null);
  await store.set(LEFT, "1");
  if (gone) await asked().then(async (server) => (await oidc()).revoked(server, gone.refresh ?? gone.bearer)).catch(() => undefined);
}
