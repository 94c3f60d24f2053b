/** The built program, run as a user would. */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const PROGRAM = fileURLToPath(new URL("../../dist/backy", import.meta.url))

/** How a run ended. */
export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** SHA-256 of standard output. */
  readonly digest: string
}

/** A directory that is gone when the test is over. */
export const temporary = (): { readonly path: string; readonly [Symbol.dispose]: () => void } => {
  const path = mkdtempSync(join(tmpdir(), "backy-test-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Starts backy on a repository. */
export const start = (repository: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  const child = spawn(PROGRAM, ["-b", repository, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const ended = new Promise<Run>((resolve, reject) => {
    const hash = createHash("sha256")
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (data: Buffer) => {
      hash.update(data)
      if (stdout.length < 65_536) stdout += data.toString()
    })
    child.stderr.on("data", (data: Buffer) => stderr += data.toString())
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr, digest: hash.digest("hex") }))
  })
  return { child, ended }
}

/** Runs backy to its end. */
export const run = (repository: string, args: ReadonlyArray<string>, env?: Record<string, string>) =>
  start(repository, args, env).ended

/** Runs backy, which must succeed. */
export const done = async (repository: string, args: ReadonlyArray<string>, env?: Record<string, string>) => {
  const result = await run(repository, args, env)
  if (result.code !== 0) throw new Error(`backy ${args.join(" ")} exited with ${result.code}: ${result.stderr}`)
  return result
}

/** The ids of the repository's complete revisions, oldest first. */
export const revisions = async (repository: string): Promise<ReadonlyArray<string>> => {
  const { stdout } = await done(repository, ["find", "-r", "all", "--uuid"])
  return stdout.split("\n").filter((line) => line !== "")
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** A program to run instead of `rbd`: a shell script that gets rbd's arguments and may hand over with `exec rbd "$@"`. */
export const instead = (directory: string, script: string): string => {
  const path = join(directory, `rbd-${sha256(Buffer.from(script)).slice(0, 8)}`)
  writeFileSync(path, `#!/bin/bash\n${script}\n`)
  chmodSync(path, 0o755)
  return path
}
