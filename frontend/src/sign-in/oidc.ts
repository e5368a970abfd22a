import { AuthRequest, exchangeCodeAsync, fetchDiscoveryAsync, makeRedirectUri, Prompt, refreshAsync, revokeAsync, type DiscoveryDocument, type TokenResponse } from "expo-auth-session";

import type { SignIn } from "@/client";

/** What is sent to the API as bearer, until when (ms), and what gets another one. */
export type Tokens = { bearer: string; until: number; refresh?: string };

/** What must be stored while a person is at the issuer. */
export type Pending = { state: string; verifier: string };

const redirectUri = () => makeRedirectUri({ scheme: "melalog", path: "signed-in" });

/** The issuer's addresses, from its own document. Throws when it cannot be had or is another issuer's. */
async function discover({ issuer }: SignIn): Promise<DiscoveryDocument> {
  const discovery = await fetchDiscoveryAsync(issuer!.replace(/\/$/, ""));
  if (discovery.discoveryDocument?.issuer !== issuer) throw new Error("another issuer answered");
  return discovery;
}

/** The API's audience, as RFC 8707 says it where it is an address, and as several issuers want it. */
const audience = (server: SignIn): Record<string, string> =>
  /^https?:/.test(server.audience ?? "") ? { resource: server.audience! } : server.audience ? { audience: server.audience } : {};

function requestTo(server: SignIn, discovery: DiscoveryDocument, anew: boolean): AuthRequest {
  const renewable = discovery.discoveryDocument?.scopes_supported?.includes("offline_access") ?? false;
  const scopes = ["openid", ...(renewable ? ["offline_access"] : []), ...(server.scope?.split(" ") ?? [])];
  const prompt = [...(anew ? [Prompt.Login] : []), ...(renewable ? [Prompt.Consent] : [])]; // OpenID Connect 11: offline access needs consent
  return new AuthRequest({ clientId: server.client_id!, redirectUri: redirectUri(), scopes, extraParams: audience(server), ...(prompt.length ? { prompt } : {}) });
}

/** Where to send a person (web), and what to store meanwhile. `anew` asks for the password even where the issuer still has a session. */
export async function beginning(server: SignIn, anew: boolean): Promise<{ url: string; pending: Pending }> {
  const discovery = await discover(server);
  const request = requestTo(server, discovery, anew);
  const url = await request.makeAuthUrlAsync(discovery);
  return { url, pending: { state: request.state, verifier: request.codeVerifier! } };
}

/** Signs in by the system's browser sheet (phones). Throws when the person turns back. */
export async function prompted(server: SignIn, anew: boolean): Promise<Tokens> {
  const discovery = await discover(server);
  const request = requestTo(server, discovery, anew);
  const came = await request.promptAsync(discovery);
  if (came.type !== "success") throw new Error(came.type);
  return exchanged(server, discovery, came.params, request.codeVerifier!);
}

/** The tokens for the address the issuer sent the person back to (web). Throws when it is not the answer to `pending`. */
export async function ended(server: SignIn, url: string, { state, verifier }: Pending): Promise<Tokens> {
  const request = new AuthRequest({ clientId: server.client_id!, redirectUri: redirectUri(), state });
  const came = request.parseReturnUrl(url);
  if (came.type !== "success") throw new Error(came.type === "error" ? String(came.error?.code) : came.type);
  return exchanged(server, await discover(server), came.params, verifier);
}

async function exchanged(server: SignIn, discovery: DiscoveryDocument, params: Record<string, string>, verifier: string): Promise<Tokens> {
  if (params.iss && params.iss !== server.issuer) throw new Error("another issuer answered"); // RFC 9207
  const extraParams = { code_verifier: verifier, ...audience(server) };
  return tokens(server, await exchangeCodeAsync({ clientId: server.client_id!, code: params.code!, redirectUri: redirectUri(), extraParams }, discovery));
}

/** Other tokens for a refresh token. Throws when it is no longer valid. */
export async function refreshed(server: SignIn, refresh: string): Promise<Tokens> {
  const answer = await refreshAsync({ clientId: server.client_id!, refreshToken: refresh, extraParams: audience(server) }, await discover(server));
  return { refresh, ...tokens(server, answer) };
}

/** Revokes a token, where the issuer supports it. */
export async function revoked(server: SignIn, token: string): Promise<void> {
  const discovery = await discover(server);
  if (discovery.revocationEndpoint) await revokeAsync({ clientId: server.client_id!, token }, discovery);
}

/** Issuers that name the app itself as audience (Google, Firebase) mean the identity token. */
function tokens({ audience: ours, client_id }: SignIn, answer: TokenResponse): Tokens {
  const bearer = ours === client_id && answer.idToken ? answer.idToken : answer.accessToken;
  return { bearer, until: 1000 * (answer.issuedAt + (answer.expiresIn ?? 300)), ...(answer.refreshToken ? { refresh: answer.refreshToken } : {}) };
}
