// Puts the web build where the orchestrator serves it from (services/orchestrator/app), whole or not at all, and records
// its digests in bundle.json. To keep the repository small, scripts go there in gzip form only and the page once:
// the orchestrator decompresses for a client without gzip and answers every address of the app with index.html.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";

const TARGET = "../services/orchestrator/app", NEW = ".expo/app.new", OLD = ".expo/app.old"; // .expo is ignored by git

const ours = Object.keys(process.env).filter((name) => name.startsWith("EXPO_PUBLIC_") && process.env[name]);
if (ours.length) throw new Error(`unset ${ours}: the build in the repository must not depend on it; for an API elsewhere use \`npm run export\` alone`);

const SHIPPED = [/^dist\/index\.html$/, /^dist\/assets\/.*\.(?!(br|gz)$)\w+$/, /^dist\/_expo\/.*\.js\.gz$/];
for (const folder of [NEW, OLD]) rmSync(folder, { recursive: true, force: true });
mkdirSync(NEW, { recursive: true });
for (const top of ["index.html", "assets", "_expo"]) {
  cpSync(`dist/${top}`, `${NEW}/${top}`, { recursive: true, filter: (path) => !/\.\w+$/.test(path) || SHIPPED.some((shipped) => shipped.test(path)) });
}
if (existsSync(TARGET)) renameSync(TARGET, OLD);
renameSync(NEW, TARGET);
rmSync(OLD, { recursive: true, force: true });
writeFileSync("bundle.json", execFileSync(process.env.PYTHON ?? "python3", ["scripts/digest.py"]));
