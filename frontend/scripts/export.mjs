// The web export, and its page once more under every address of the app, so that any static server answers a reload.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";

const environment = { ...process.env, CI: "1", EXPO_OFFLINE: "1", EXPO_NO_TELEMETRY: "1" };
execFileSync("npx", ["expo", "export", "-p", "web", "--output-dir", "dist"], { stdio: "inherit", env: environment });
for (const file of readdirSync("src/app")) {
  const name = file.replace(/\.tsx$/, "");
  if (name === "index" || name.startsWith("_")) continue;
  mkdirSync(`dist/${name}`, { recursive: true });
  copyFileSync("dist/index.html", `dist/${name}/index.html`);
}
