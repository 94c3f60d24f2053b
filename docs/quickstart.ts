/**
 * `npm run quickstart`: backs up an image, changes it, backs it up again, verifies and restores it, and prints each
 * command before it runs it.
 *
 *     npm run quickstart                  with a generated image
 *     npm run quickstart -- disk.img      with an image of yours, which is only read
 *     npm run quickstart -- --clean       removes everything at the end
 */
import { spawn } from "node:child_process"
import { createHash, randomFillSync } from "node:crypto"
import {
  closeSync,
  createReadStream,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { pipeline } from "node:stream/promises"
import { fileURLToPath } from "node:url"

const MIB = 1024 ** 2
const program = fileURLToPath(new URL("../dist/backy", import.meta.url))
const given = process.argv.slice(2).filter((word) => word !== "--clean")
const clean = process.argv.includes("--clean")

const say = (text: string): void => console.log(text === "" ? "" : `\n# ${text}`)

class Failed extends Error {}

/** Runs `backy` in the working directory and shows what it prints. Gives the SHA-256 of its output. */
const backy = (folder: string, words: ReadonlyArray<string>, through = ""): Promise<string> =>
  new Promise((done, failed) => {
    console.log(`$ backy ${words.join(" ")}${through}`)
    const child = spawn(program, words, {
      cwd: folder,
      stdio: ["ignore", through === "" ? "inherit" : "pipe", "inherit"]
    })
    const hash = createHash("sha256")
    child.stdout?.on("data", (bytes: Uint8Array) => hash.update(bytes))
    child.once("error", failed)
    child.once("close", (code) => {
      if (code === 0) done(hash.digest("hex"))
      else failed(new Failed(`backy ${words.join(" ")} ended with ${code}`))
    })
  })

const sha256 = async (path: string): Promise<string> => {
  const hash = createHash("sha256")
  await pipeline(createReadStream(path, { highWaterMark: 4 * MIB }), hash)
  return hash.digest("hex")
}

/** Something like the disk of a small server: programs, logs, data that does not compress, and a lot of nothing. */
const generate = (path: string): void => {
  const file = openSync(path, "wx")
  const noise = new Uint8Array(MIB)
  const log = (part: number) =>
    Array.from(
      { length: MIB / 64 },
      (_, line) => `Nov 23 14:21:05 web01 nginx[${part}]: GET /item/${part * 16384 + line} 200 `.padEnd(63) + "\n"
    ).join("").slice(0, MIB)
  for (let part = 0; part < 192; part++) {
    // every eighth part of 8 MiB is never written: a hole, as a new file system has many
    const kind = Math.floor(part / 8) % 8
    if (kind < 3) writeSync(file, randomFillSync(noise), 0, MIB, part * MIB)
    else if (kind < 6) writeSync(file, Buffer.from(log(part)), 0, MIB, part * MIB)
  }
  ftruncateSync(file, 256 * MIB)
  closeSync(file)
}

/** What a day does to it: a few files written, some removed, the disk enlarged. */
const change = (path: string): void => {
  const file = openSync(path, "r+")
  writeSync(file, randomFillSync(new Uint8Array(3 * MIB)), 0, 3 * MIB, 20 * MIB + 4096)
  writeSync(file, new Uint8Array(5 * MIB), 0, 5 * MIB, 40 * MIB)
  writeSync(file, Buffer.from("a new file at the end\n"), 0, 22, 250 * MIB)
  ftruncateSync(file, 264 * MIB)
  closeSync(file)
}

const main = async (folder: string): Promise<void> => {
  const own = given.length === 0
  const image = own ? "vm.img" : resolve(given[0] ?? "")
  const path = own ? join(folder, image) : image
  if (own) {
    say("An image, vm.img: 256 MiB, some of it never written")
    generate(path)
  } else {
    say(`${image} is only read, never written to`)
  }

  say("A repository for it: one directory that holds everything, and names the source and the schedule")
  await backy(folder, ["-b", "vm", "init", "file", image])

  say("The first backup reads all of it, stores what is not zero, and compares it with a second reading")
  const first = await sha256(path)
  await backy(folder, ["-b", "vm", "backup", "daily"])

  if (own) {
    say("A day passes: 3 MiB are written, 5 MiB zeroed, 8 MiB added")
    change(path)
  } else {
    say("Nothing is changed, since the image is yours")
  }
  say("The second backup stores what is new")
  await backy(folder, ["-b", "vm", "backup", "daily,weekly"])

  say("What there is, newest last, and where the two differ")
  await backy(folder, ["-b", "vm", "status"])
  await backy(folder, ["-b", "vm", "diff", "first", "latest"])

  say("Everything stored is read again and checked against its hashes")
  await backy(folder, ["-b", "vm", "verify"])

  say("The newest revision into a file, the oldest into a pipe")
  await backy(folder, ["-b", "vm", "restore", "-r", "latest", "restored.img"])
  const restored = await sha256(join(folder, "restored.img"))
  const piped = await backy(folder, ["-b", "vm", "restore", "-r", "first", "-"], " | sha256sum")

  say("Are they what was backed up?")
  const pairs = [["newest", await sha256(path), restored], ["oldest", first, piped]] as const
  for (const [name, wanted, found] of pairs) {
    console.log(
      `${name}: source ${wanted.slice(0, 16)}…  restored ${found.slice(0, 16)}…  ${
        wanted === found ? "the same" : "DIFFERENT"
      }`
    )
  }
  if (pairs.some(([, wanted, found]) => wanted !== found)) {
    throw new Failed("what was restored is not what was backed up")
  }
}

if (!existsSync(program)) {
  console.error("quickstart: there is no dist/backy yet; `npm ci` makes it")
  process.exit(1)
}
if (given.length > 1 || given.some((word) => word.startsWith("-"))) {
  console.error("usage: npm run quickstart [-- [--clean] [IMAGE]]")
  process.exit(2)
}
if (given[0] !== undefined && !existsSync(given[0])) {
  console.error(`quickstart: there is no image ${resolve(given[0])}`)
  process.exit(1)
}

const folder = mkdtempSync(join(tmpdir(), "backy-quickstart-"))
console.log(`$ cd ${folder}\n$ alias backy=${program}`)
try {
  await main(folder)
  console.log("\nquickstart: all is well, every restored byte is the one that was backed up")
} catch (error) {
  console.error(`\nquickstart: FAILED: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
if (clean) rmSync(folder, { recursive: true, force: true })
else console.log(`Look around in ${folder}, and remove it when you are done: rm -r ${folder}`)
