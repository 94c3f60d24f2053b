/** The built program on real files. */
import { assert } from "@effect/vitest"
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"

export const MIB = 1024 ** 2

/** The program as `npm ci` leaves it. */
export const PROGRAM = fileURLToPath(new URL("../../dist/backy", import.meta.url))

const environment = { ...process.env, NO_COLOR: "", BACKY_WORKERS: "2", TZ: "UTC" }

export interface Result {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs a program to its end. Not synchronously: the test runner wants to hear of a long test. */
export const run = (
  command: string,
  argv: ReadonlyArray<string>,
  options: { readonly cwd?: string | undefined; readonly env?: Record<string, string> } = {}
): Promise<Result> =>
  new Promise((resolve, reject) => {
    const { cwd, env } = options
    const child = spawn(command, argv, { cwd, env: { ...environment, ...env }, stdio: ["ignore", "pipe", "pipe"] })
    let out = ""
    let err = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => out += text)
    child.stderr.setEncoding("utf8").on("data", (text: string) => err += text)
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, out, err }))
  })

/** Runs `backy` to its end. */
export const backy = (...argv: ReadonlyArray<string>): Promise<Result> => run(PROGRAM, argv)

/** Runs a line of bash in which `backy` is the program. */
export const bash = (script: string, cwd?: string): Promise<Result> =>
  run("bash", ["-c", `backy() { "${PROGRAM}" "$@"; }\n${script}`], { cwd })

/** Runs `backy` and expects it to succeed; gives its standard output. */
export const ok = async (...argv: ReadonlyArray<string>): Promise<string> => {
  const { code, err, out } = await backy(...argv)
  assert.strictEqual(code, 0, err)
  return out
}

/** Runs `backy` and expects it to say one line and end with `code`; gives the line. */
export const fails = async (code: number, ...argv: ReadonlyArray<string>): Promise<string> => {
  const result = await backy(...argv)
  assert.strictEqual(result.code, code, result.err)
  assert.strictEqual(result.out, "")
  assert.match(result.err, /^backy: .*\n$/)
  return result.err.trimEnd()
}

/** A `backy` that is running. */
export const start = (argv: ReadonlyArray<string>, options: { readonly workers: number } = { workers: 2 }) => {
  const child = spawn(PROGRAM, argv, {
    env: { ...environment, BACKY_WORKERS: String(options.workers) },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let err = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => err += text)
  const ended = new Promise<{ readonly code: number | null; readonly signal: string | null; readonly err: string }>(
    (resolve) => child.once("close", (code, signal) => resolve({ code, signal, err }))
  )
  return { child, ended }
}

/** Waits until something is so; the test's time limit ends it otherwise. */
export const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await setTimeout(2)
}

/** The files of chunks in a repository. */
export const chunkFiles = (repository: string): ReadonlyArray<string> => {
  const root = join(repository, "chunks")
  if (!existsSync(root)) return []
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".chunk.zst")).map((name) => join(root, name)).sort()
}

/** Bytes that do not compress, the same for the same seed. */
export const noise = (size: number, seed = 1): Buffer => {
  const words = new Int32Array(Math.ceil(size / 4))
  let state = seed
  for (let at = 0; at < words.length; at++) {
    // xorshift32
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
  }
  return Buffer.from(words.buffer, 0, size)
}

/** A folder of its own, with an image and a repository for it. */
export const workshop = async (image: Uint8Array) => {
  const folder = mkdtempSync(join(tmpdir(), "backy-test-"))
  const paths = { folder, image: join(folder, "vm.img"), repository: join(folder, "vm") }
  writeFileSync(paths.image, image)
  await ok("-b", paths.repository, "init", "file", paths.image)
  return {
    ...paths,
    /** Runs `backy` on the repository. */
    args: (...argv: ReadonlyArray<string>) => ["-b", paths.repository, ...argv],
    ids: async () => {
      const out = await ok("-b", paths.repository, "find", "-r", "all", "--uuid")
      return out.split("\n").filter((id) => id !== "")
    },
    restored: async (revision = "latest") => {
      const target = join(mkdtempSync(join(folder, "restored-")), "image")
      await ok("-b", paths.repository, "restore", "-r", revision, target)
      return readFileSync(target)
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
    makeFolder: (name: string) => {
      mkdirSync(join(folder, name))
      return join(folder, name)
    }
  }
}
