// write.mjs BUILD TEMPLATE RESULT API_URL,ORIGIN,…: nginx.conf with this build's Content-Security-Policy, which is
// the one that services/orchestrator/webapp.py makes: its own files, its own inline scripts, the API and the issuer.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const [build, template, result, addresses = ""] = process.argv.slice(2);
const origins = addresses.split(",").filter(Boolean).map((address) => new URL(address.trim()).origin);
const page = readFileSync(`${build}/index.html`, "utf8");
const inline = [...page.matchAll(/<script(?![^>]*\ssrc=)[^>]*>(.*?)<\/script>/gis)];
const digests = inline.map(([, text]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`);
const policy = [
  "default-src 'self'",
  ["script-src 'self' 'wasm-unsafe-eval'", ...digests].join(" "),
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "worker-src 'self' blob:",
  "font-src 'self' data:",
  ["connect-src 'self' blob: data:", ...origins].join(" "),
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");
writeFileSync(result, readFileSync(template, "utf8").replace('"POLICY"', () => `"${policy}"`));
