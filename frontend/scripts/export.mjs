// The web export, and its page once more under every address of the app, so that any static server answers a reload.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const environment = { ...process.env, CI: "1", EXPO_OFFLINE: "1", EXPO_NO_TELEMETRY: "1" };
execFileSync("npx", ["expo", "export", "-p", "web", "--output-dir", "dist"], { stdio: "inherit", env: environment });
for (const file of readdirSync("src/app")) {
  const name = file.replace(/\.tsx$/, "");
  if (name === "index" || name.startsWith("_")) continue;
  mkdirSync(`dist/${name}`, { recursive: true });
  copyFileSync("dist/index.html", `dist/${name}/index.html`);
}

// Compressed beside each file, so that a server needs no time for it: a phone on a slow line waits a fifth as long.
for (const { name, parentPath } of readdirSync("dist", { recursive: true, withFileTypes: true })) {
  if (!/\.(js|html|json)$/.test(name)) continue;
  const path = join(parentPath, name), bytes = readFileSync(path);
  writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
}
