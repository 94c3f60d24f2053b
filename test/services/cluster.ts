/** What a VM and an administrator do to images of the real cluster. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Layer from "effect/Layer"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as RbdProgram from "../../src/ceph/rbdProgram.ts"
import * as BlockFile from "../../src/platform/nodeBlockFile.ts"
import * as Process from "../../src/platform/nodeProcess.ts"

export const POOL = "rbd"

/** A name that no other image has. */
export const fresh = (): string => `t-${randomUUID().slice(0, 13)}`

/** Runs a program to its end; what it wrote, or an error with what it complained about. */
export const run = (program: string, args: ReadonlyArray<string>, input?: Uint8Array): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] })
    const output: Array<Buffer> = []
    let complaint = ""
    child.stdout.on("data", (data: Buffer) => output.push(data))
    child.stderr.on("data", (data: Buffer) => complaint += data.toString())
    child.stdin.on("error", () => undefined)
    child.on("error", reject)
    child.on("close", (code) =>
      code === 0
        ? resolve(Buffer.concat(output))
        : reject(new Error(`${program} ${args.join(" ")} exited with ${code}: ${complaint}`)))
    child.stdin.end(input ?? new Uint8Array(0))
  })

export const rbd = (...args: ReadonlyArray<string>): Promise<Buffer> => run("rbd", args)

export const create = async (image: string, size: number) => {
  await rbd("create", "--size", `${size}B`, `${POOL}/${image}`)
}

/** Writes into the image as it is now, as its VM would. */
export const write = async (image: string, offset: number, bytes: Uint8Array) => {
  await commands(image, bytes, (file) => [`write -s ${file} ${offset} ${bytes.length}`])
}

/** Gives a range back, as a VM's fstrim would. */
export const discard = (image: string, offset: number, length: number) =>
  run("qemu-io", ["-f", "raw", "-c", `discard ${offset} ${length}`, `rbd:${POOL}/${image}`])

const commands = async (image: string, bytes: Uint8Array, lines: (file: string) => ReadonlyArray<string>) => {
  const directory = mkdtempSync(join(tmpdir(), "backy-write-"))
  try {
    const file = join(directory, "data")
    await import("node:fs/promises").then(({ writeFile }) => writeFile(file, bytes))
    const words = lines(file).flatMap((line) => ["-c", line])
    await run("qemu-io", ["-f", "raw", ...words, `rbd:${POOL}/${image}`])
  } finally {
    rmSync(directory, { recursive: true })
  }
}

export const resize = async (image: string, size: number) => {
  await rbd("resize", "--no-progress", "--allow-shrink", "--size", `${size}B`, `${POOL}/${image}`)
}

/** All bytes of a snapshot, as `rbd export` gives them. */
export const exported = (image: string, snapshot: string): Promise<Buffer> =>
  rbd("export", "--no-progress", `${POOL}/${image}@${snapshot}`, "-")

const files = Layer.merge(NodeFileSystem.layer, BlockFile.layer)

/** The real programs. */
export const rbdLayer = Layer.provide(RbdProgram.layer(), Layer.merge(files, Process.layer))

/** The process ids of the cluster's daemons. */
export const daemons = (): ReadonlyArray<number> => {
  const directory = dirname(process.env["CEPH_CONF"] ?? "")
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".pid"))
    .map((name) => Number(readFileSync(join(directory, name), "utf8")))
}
