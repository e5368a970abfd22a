// Fails when src/client is not what openapi.json gives.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const files = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name).slice(folder.length)).sort();
const text = (folder) => files(folder).map((name) => name + readFileSync(folder + name, "utf8")).join("\0");

const kept = mkdtempSync(join(tmpdir(), "client-"));
cpSync("src/client", kept, { recursive: true });
execFileSync("npx", ["openapi-ts", "--silent"], { stdio: "inherit" });
const same = text("src/client") === text(kept);
rmSync("src/client", { recursive: true });
cpSync(kept, "src/client", { recursive: true });
rmSync(kept, { recursive: true });
if (!same) {
  console.error("src/client is not what openapi.json gives: run `npm run client` and commit the result");
  process.exit(1);
}
