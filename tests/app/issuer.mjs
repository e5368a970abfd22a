// A real OpenID provider (npm's oidc-provider) on this machine: anybody may sign in, tokens live for seconds, `refuse` ends all renewals.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { ROOT } from "./system.mjs";

const require = createRequire(join(ROOT, "frontend/package.json"));
export const AUDIENCE = "https://melalog.example/api", SCOPE = "melalog", CLIENT = "melalog-app";
/** The app renews a token half a minute before its end, so this one is renewed after a few seconds. */
const LIFE_S = 36;

export const settings = (port) => ({
  MELALOG_AUTH: "required", MELALOG_OIDC_ISSUER: `http://127.0.0.1:${port}`, MELALOG_OIDC_JWKS_URL: `http://127.0.0.1:${port}/jwks`,
  MELALOG_OIDC_AUDIENCE: AUDIENCE, MELALOG_OIDC_SCOPE: SCOPE, MELALOG_OIDC_CLIENT_ID: CLIENT,
});

export async function issue(port, app) {
  const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));
  const url = `http://127.0.0.1:${port}`;
  const provider = new Provider(url, {
    clients: [{ client_id: CLIENT, token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"], response_types: ["code"], redirect_uris: [`${app}/signed-in`] }],
    clientBasedCORS: (_, origin) => origin === app,
    cookies: { keys: ["only for tests"] },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    features: {
      devInteractions: { enabled: true }, revocation: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: () => ({ scope: SCOPE, audience: AUDIENCE, accessTokenTTL: LIFE_S, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } }) },
    },
  });
  const state = { refuse: false, grants: [], revoked: 0 };
  provider.use(async (context, next) => {
    const asked = context.method === "POST" && context.path === "/token";
    if (asked && state.refuse) {
      context.set("access-control-allow-origin", app);
      return Object.assign(context, { status: 400, body: { error: "invalid_grant" } });
    }
    await next();
    if (asked && context.status === 200) state.grants.push(context.oidc.params.grant_type);
    if (context.path === "/token/revocation" && context.method === "POST" && context.status === 200) state.revoked += 1;
  });
  const server = createServer(provider.callback());
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return { url, state, close: () => { server.closeAllConnections(); server.close(); } };
}
