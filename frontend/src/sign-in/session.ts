import { useSyncExternalStore } from "react";
import { Platform } from "react-native";

import { connect, IDLE_MS } from "@/api/connection";
import { Failure, failureOf } from "@/api/problem";
import { server as api } from "@/api/server";
import { isOffline, onOffline } from "@/api/transport";
import type { SignIn } from "@/client";

import type { Pending, Tokens } from "./oidc";
import { store } from "./store";

const TOKENS = "melalog-tokens", PENDING = "melalog-sign-in", LEFT = "melalog-signed-out";
const MARGIN_MS = 30_000;

/** Whether this server requires a sign-in, whether an app can do it, and whether it is done. Undefined until the server answered. */
export type Session = { required: boolean; possible: boolean; signedIn: boolean };

let session: Session | undefined;
let tokens: Tokens | null = null;
let requirements: Promise<SignIn> | undefined;
let renewing: Promise<string | null> | undefined;
const connection = () => connect({ isOffline, onOffline });
const listeners = new Set<() => void>();
const oidc = () => import("./oidc"); // only where it is needed: most servers require no sign-in

export const useSession = () => useSyncExternalStore(subscribe, () => session, () => session);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (!session) void signInRequirements().catch(() => undefined);
  return () => listeners.delete(listener);
}

/** What the server requires for sign-in, fetched once. Throws Failure when it cannot be fetched. */
function signInRequirements(): Promise<SignIn> {
  requirements ??= fetchRequirements().catch((error: unknown) => { requirements = undefined; throw error; });
  return requirements;
}

async function fetchRequirements(): Promise<SignIn> {
  const { signal, wait } = connection();
  const { data, response } = await wait(IDLE_MS, () => api.signIn({ signal }));
  if (!response) throw new Failure(isOffline() ? "offline" : "unreachable");
  if (!data) throw failureOf(response.status, {}, response.headers.get("retry-after"));
  const stored = data.required ? await store.get(TOKENS) : null;
  if (stored) tokens = JSON.parse(stored) as Tokens;
  publish({ required: data.required, possible: Boolean(data.issuer && data.client_id), signedIn: tokens !== null });
  return data;
}

function publish(changed: Session): void {
  session = changed;
  for (const listener of listeners) listener();
}

async function setTokens(next: Tokens | null): Promise<void> {
  tokens = next;
  await (next ? store.set(TOKENS, JSON.stringify(next)) : store.remove(TOKENS));
  if (session) publish({ ...session, signedIn: next !== null });
}

/**
 * The token to send, null where there is none; refreshed when it is about to end, or when `renew` says that it was refused.
 * Throws Failure where the server or the issuer cannot be reached: that signs nobody out.
 */
export async function bearer(renew = false): Promise<string | null> {
  const server = await signInRequirements();
  if (!server.required || !tokens) return null;
  const { bearer: old, until, refresh } = tokens;
  const isValid = () => !renew && until > Date.now();
  if (isValid() && (!refresh || until > Date.now() + MARGIN_MS)) return old;
  renewing ??= another(server, tokens).finally(() => { renewing = undefined; });
  return renewing.catch((error: unknown) => {
    if (isValid()) return old; // its last seconds are as good as the first
    throw error;
  });
}

/** Null, and signed out, where nothing renews the tokens any more. Throws Failure where the issuer did not say so. */
async function another(server: SignIn, { refresh }: Tokens): Promise<string | null> {
  const next = refresh ? await renewed(server, refresh) : null;
  await setTokens(next);
  return next?.bearer ?? null;
}

async function renewed(server: SignIn, refresh: string): Promise<Tokens | null> {
  const refused = (error: { code?: string }) => {
    if (error.code === "invalid_grant") return null; // RFC 6749, 5.2: ended or revoked; whatever else goes wrong may pass
    throw error;
  };
  return connection().wait(2 * IDLE_MS, () => oidc().then(({ refreshed }) => refreshed(server, refresh)).catch(refused));
}

/** Signs in. On web this leaves the page, and `complete` goes on from /signed-in. Throws when the issuer cannot be reached or refuses. */
export async function begin(): Promise<void> {
  const server = await signInRequirements();
  const anew = (await store.get(LEFT)) !== null;
  const { beginning, prompted } = await oidc();
  if (Platform.OS === "web") {
    const { url, pending } = await connection().wait(2 * IDLE_MS, () => beginning(server, anew));
    await store.set(PENDING, JSON.stringify(pending));
    addEventListener("pageshow", forget);
    location.assign(url);
    await new Promise(() => undefined); // the page is about to go
  }
  await setTokens(await prompted(server, anew));
  await store.remove(LEFT);
}

/** The browser brought back the page that was left, with its memory: reload it once that sign-in has ended. */
async function forget(): Promise<void> {
  if (!(await store.get(PENDING))) location.reload();
}

/** Ends what `begin` began on web. Throws when the issuer refused, or when nothing was begun in this tab. */
export async function complete(url: string): Promise<void> {
  const pending = await store.get(PENDING);
  if (!pending) throw new Error("nothing was begun here");
  await store.remove(PENDING); // a code is good for one try
  const server = await signInRequirements();
  const { ended } = await oidc();
  await setTokens(await connection().wait(2 * IDLE_MS, () => ended(server, url, JSON.parse(pending) as Pending)));
  await store.remove(LEFT);
}

/** Forgets the tokens at once, and revokes them at the issuer if it can be reached. */
export async function signOut(): Promise<void> {
  const gone = tokens;
  await setTokens(null);
  await store.set(LEFT, "1");
  if (gone) await signInRequirements().then(async (server) => (await oidc()).revoked(server, gone.refresh ?? gone.bearer)).catch(() => undefined);
}
