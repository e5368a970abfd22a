import { defineConfig } from "@hey-api/openapi-ts";

// openapi.json is the server's /openapi.json, checked in; `npm run client` writes src/client anew.
export default defineConfig({ input: "./openapi.json", output: "src/client", plugins: ["@hey-api/typescript", "@hey-api/client-fetch", "@hey-api/sdk"] });
