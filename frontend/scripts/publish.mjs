// Puts dist where the orchestrator serves it from (services/orchestrator/app), whole or not at all.
import { cpSync, existsSync, renameSync, rmSync } from "node:fs";

const to = "../services/orchestrator/app", beside = ".expo/app.new", before = ".expo/app.old"; // .expo is ignored by git

for (const left of [beside, before]) rmSync(left, { recursive: true, force: true });
cpSync("dist", beside, { recursive: true });
if (existsSync(to)) renameSync(to, before);
renameSync(beside, to);
rmSync(before, { recursive: true, force: true });
