// @ts-check
// Installed as dist/start.mjs, what dist/backy runs. The compile cache has to be on before the program is loaded.
// It lives beside the program, never in a shared temporary folder: whoever may write to it decides what backy executes.
// Node keeps it per user and version, and does without where the folder cannot be written.
import { enableCompileCache } from "node:module"
import { fileURLToPath } from "node:url"

enableCompileCache({ directory: fileURLToPath(new URL(".cache", import.meta.url)), portable: true })
// @ts-expect-error The build puts main.mjs beside this file.
await import("./main.mjs")
