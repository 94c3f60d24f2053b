/**
 * The calls that the built program really makes of the kernel. What must be synced is told by the simulations; this is
 * the other end: that to sync a file is an fsync of that very file, in the main thread and in the workers.
 */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { MIB, noise, ok, PROGRAM, run, workshop } from "./program.ts"

const preload = fileURLToPath(new URL("../support/logCalls.mjs", import.meta.url))

let shop: Awaited<ReturnType<typeof workshop>>
beforeEach(async () => {
  shop = await workshop(noise(10 * MIB))
})
afterEach(() => shop.remove())

interface Call {
  readonly call: string
  readonly path: string
  readonly to?: string
}

/** Runs the program, in a shell, and gives its calls, of which those on notes of who holds a lock are left out. */
const callsOf = async (...argv: ReadonlyArray<string>): Promise<ReadonlyArray<Call>> => {
  const log = join(shop.folder, "calls")
  rmSync(log, { force: true })
  const env = { NODE_OPTIONS: `--import=${preload}`, BACKY_TEST_CALLS: log }
  const { code, err } = await run("bash", ["-c", `exec "${PROGRAM}" ${shop.args(...argv).join(" ")}`], { env })
  assert.strictEqual(code, 0, err)
  return existsSync(log)
    ? readFileSync(log, "utf8").trim().split("\n").map((line): Call => JSON.parse(line) as Call)
      .filter(({ path }) => path.startsWith(shop.folder) && ![".backup", ".purge"].includes(basename(path)))
    : []
}

/** Everything that is wrong with the order of some calls, and what they leave in danger. */
const judged = (calls: ReadonlyArray<Call>) => {
  const wrong: Array<string> = []
  const written = new Set<string>()
  const named = new Set<string>()
  const renamed: Array<string> = []
  for (const { call, path, to = "" } of calls) {
    switch (call) {
      case "write":
      case "ftruncate":
        written.add(path)
        break
      case "fsync":
      case "fdatasync":
        written.delete(path)
        named.delete(path)
        break
      case "mkdir":
        named.add(dirname(path))
        break
      case "link":
      case "rename":
        if (written.has(path)) wrong.push(`${to} has its name before its content is synced`)
        if (to.endsWith(".rev") && named.size > 0) {
          wrong.push(`${to} is published before ${[...named].join(" ")} is synced`)
        }
        named.add(dirname(to))
        renamed.push(basename(to))
    }
  }
  return { wrong, danger: [...written, ...named], renamed }
}

const well = { wrong: [], danger: [] }

describe("the built program", () => {
  it("syncs every chunk, map and revision before its name, and every folder before the revision", async () => {
    const { renamed, ...first } = judged(await callsOf("backup", "daily"))
    assert.deepStrictEqual(first, well)
    // three chunks, the marker of the store, the map, and twice the metadata
    assert.strictEqual(renamed.length, 7, renamed.join(" "))
    writeFileSync(shop.image, noise(10 * MIB, 2))
    const second = judged(await callsOf("backup", "daily"))
    assert.deepStrictEqual({ ...second, renamed: second.renamed.length }, { ...well, renamed: 6 })
    const tagged = judged(await callsOf("tags", "add", "-r", "all", "manual:x"))
    assert.deepStrictEqual({ ...tagged, renamed: tagged.renamed.length }, { ...well, renamed: 2 })
  })

  it("syncs chunks that it finds, since it does not know who wrote them", async () => {
    await ok(...shop.args("backup", "daily"))
    await ok(...shop.args("forget", "-f", "-r", "all"))
    const calls = await callsOf("backup", "daily")
    const { danger, wrong } = judged(calls)
    assert.deepStrictEqual({ danger, wrong }, well)
    assert.strictEqual(calls.filter(({ call, path }) => call === "fsync" && path.endsWith(".zst")).length, 3)
    assert.strictEqual(calls.filter(({ call, path }) => call === "write" && path.includes(".chunk.zst")).length, 0)
  })

  it("syncs what it restores before its name, and an existing file before it ends", async () => {
    await ok(...shop.args("backup", "daily"))
    const target = `${shop.makeFolder("target")}/vm.img`
    const { renamed, ...made } = judged(await callsOf("restore", target))
    assert.deepStrictEqual({ ...made, renamed }, { ...well, renamed: ["vm.img"] })
    const again = await callsOf("restore", "-f", target)
    assert.deepStrictEqual(judged(again), { ...well, renamed: [] })
    assert.isTrue(again.some(({ call, path }) => call === "fsync" && path === target))
    const piped = await callsOf("restore", "-", `> ${join(shop.folder, "piped")}`)
    assert.deepStrictEqual(piped.at(-1), { call: "fsync", path: join(shop.folder, "piped") })
  })

  it("fails when what it wrote to standard output cannot be synced", async () => {
    await ok(...shop.args("backup", "daily"))
    const failing = `import FS from "node:fs"
      import { syncBuiltinESMExports } from "node:module"
      const { fsync } = FS
      const error = Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO", syscall: "fsync" })
      FS.fsync = (descriptor, done) => descriptor === 1 ? done(error) : fsync(descriptor, done)
      syncBuiltinESMExports()`
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(failing)}` }
    const script = `exec "${PROGRAM}" ${shop.args("restore", "-").join(" ")} > ${join(shop.folder, "piped")}`
    const { code, err } = await run("bash", ["-c", script], { env })
    assert.strictEqual(code, 1)
    assert.match(err, /cannot sync standard output: .*\(EIO\)/)
  })

  it("makes the vanishing of a revision durable before its map goes, and of all before a chunk does", async () => {
    await ok(...shop.args("backup", "daily"))
    writeFileSync(shop.image, noise(10 * MIB, 2))
    await ok(...shop.args("backup", "daily"))
    // rm of Node is an unlink, which is told, too
    const short = (calls: ReadonlyArray<Call>) =>
      calls.map(({ call, path }) =>
        `${call === "rm" ? "unlink" : call} ${path === shop.repository ? "." : basename(path)}`
      ).filter((line, index, lines) => line !== lines[index - 1])
    const [first = ""] = await shop.ids()
    assert.deepStrictEqual(short(await callsOf("forget", "-r", first)), [
      `unlink ${first}.rev`,
      "fsync .",
      `unlink ${first}`
    ])
    const purged = short(await callsOf("purge"))
    assert.strictEqual(purged[0], "fsync .")
    assert.strictEqual(purged.filter((call) => /^unlink \w{64}\.chunk\.zst$/.test(call)).length, 3)
  })
})
