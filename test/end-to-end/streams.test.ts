import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { loopDevice } from "../support/loopMount.ts"
import { backy, bash, MIB, noise, ok, PROGRAM, run, start, workshop } from "./program.ts"

let shop: Awaited<ReturnType<typeof workshop>>
beforeAll(async () => {
  shop = await workshop(noise(64 * MIB))
  await ok(...shop.args("backup", "daily"))
})
afterAll(() => shop.remove())

/** Runs a command of bash on a terminal. */
const onTerminal = async (command: string, env: Record<string, string> = {}): Promise<string> => {
  const { out } = await run("script", ["-qec", command, "/dev/null"], {
    env: { TERM: "xterm", BACKY_WORKERS: "1", ...env }
  })
  return out.replaceAll("\r\n", "\n")
}

describe("standard output", () => {
  it("may be closed by its reader, and nobody complains", async () => {
    const { err, out } = await bash(`backy -b vm restore - | head -c 1000 | wc -c; echo \${PIPESTATUS[0]}`, shop.folder)
    assert.strictEqual(err, "")
    assert.deepStrictEqual(out.trim().split(/\s+/), ["1000", "1"])
    assert.deepStrictEqual(await bash(`backy -b vm status --json | true; echo \${PIPESTATUS[0]}`, shop.folder), {
      code: 0,
      out: "0\n",
      err: ""
    })
  })

  it("that cannot be written to fails the command", async () => {
    const restored = await bash("backy -b vm restore - > /dev/full", shop.folder)
    assert.strictEqual(restored.code, 1)
    assert.strictEqual(restored.err, "backy: cannot write to standard output: no space left on device (ENOSPC)\n")
    assert.strictEqual((await bash("backy -b vm status > /dev/full", shop.folder)).code, 1)
    assert.strictEqual((await bash("backy --help > /dev/full", shop.folder)).code, 1)
  })

  it("that is read slowly is waited for, and a signal is answered meanwhile", async () => {
    const { child, ended } = start(shop.args("restore", "-"))
    await new Promise((resolve) => child.stdout.once("readable", resolve))
    assert.isNotNull(child.stdout.read(1))
    child.kill("SIGTERM")
    // the pipe is full and nobody reads it
    const code = await new Promise((resolve) => child.once("exit", resolve))
    assert.strictEqual(code, 143)
    child.stdout.destroy()
    assert.strictEqual((await ended).err, "backy: interrupted\n")
  })

  it("that is a terminal gets no image", async () => {
    assert.match(
      await onTerminal(`"${PROGRAM}" -b "${shop.repository}" restore -; echo "code $?"`),
      /is a terminal.*\ncode 2\n/
    )
  })

  it.skipIf(process.getuid?.() !== 0 && process.env.BACKY_TEST_ROOT !== "1")("may be a block device", async () => {
    const device = loopDevice(64 * MIB)
    try {
      assert.deepStrictEqual(await bash(`backy -b vm restore - > ${device.path}`, shop.folder), {
        code: 0,
        out: "",
        err: ""
      })
      execFileSync("cmp", [device.path, shop.image])
    } finally {
      device.detach()
    }
  })
})

describe("standard error", () => {
  it("shows progress on a terminal, and takes it away at the end", async () => {
    const shown = await onTerminal(`"${PROGRAM}" -b "${shop.repository}" verify`)
    const drawn = shown.split("\r\u001b[K")
    assert.match(drawn[1] ?? "", /^checking +\d+ % {2}[\d.]+ \w+ of 64\.0 MiB/)
    assert.match(drawn.at(-1) ?? "", /^\w{22} {2}verified\n/)
  })

  it("has no progress and no control characters where nobody looks", async () => {
    const { err } = await backy(...shop.args("verify"))
    assert.strictEqual(err, "")
  })
})

describe("colours", () => {
  it("never come under NO_COLOR nor into a pipe", async () => {
    // oxlint-disable-next-line no-control-regex -- an escape is what must not be there
    const escape = /\u001b/
    assert.notMatch(await onTerminal(`"${PROGRAM}" --help`, { NO_COLOR: "1" }), escape)
    assert.notMatch(await onTerminal(`"${PROGRAM}" -b "${shop.repository}" status`, { NO_COLOR: "1" }), escape)
    assert.notMatch(await ok("--help") + await ok("restore", "--help") + (await backy("restore")).err, escape)
  })
})

/** Whether a program is installed; in CI it has to be. */
const isThere = (program: string): boolean =>
  process.env["BACKY_TEST_ROOT"] === "1" || spawnSync(program, ["--version"]).error === undefined

describe("completions", () => {
  const complete = async (...words: ReadonlyArray<string>) => {
    const { err, out } = await bash(
      `PATH="${PROGRAM.slice(0, -"/backy".length)}:$PATH"; unset -f backy
      source <(backy --completions bash)
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
      _backy; echo "\${COMPREPLY[*]}"`,
      shop.folder
    )
    assert.strictEqual(err, "")
    return out.trim()
  }

  it("offer commands, options and revisions in bash", async () => {
    assert.strictEqual(await complete("backy", "-b", "vm", "st"), "status")
    assert.strictEqual(await complete("backy", "tags", ""), "set add remove")
    assert.strictEqual(await complete("backy", "restore", "--sal"), "--salvage")
    assert.strictEqual(
      await complete("backy", "-b", "vm", "restore", "-r", ""),
      `latest first all clean ${(await shop.ids()).join(" ")}`
    )
    assert.strictEqual(await complete("backy", "restore", ""), "")
  })

  it.runIf(isThere("fish"))("offer the same in fish", async () => {
    const complete = async (line: string) => {
      const { err, out } = await bash(
        `PATH="${PROGRAM.slice(0, -"/backy".length)}:$PATH" LINE='${line}'; export PATH LINE
        fish --no-config -c 'backy --completions fish | source; complete -C "$LINE"'`,
        shop.folder
      )
      assert.strictEqual(err, "")
      return out.trimEnd().split("\n").map((found) => found.split("\t")[0])
    }
    assert.deepStrictEqual(await complete("backy -b vm st"), ["status"])
    assert.sameMembers(await complete("backy tags "), ["set", "add", "remove"])
    assert.deepStrictEqual(await complete("backy restore --sal"), ["--salvage"])
    assert.deepStrictEqual(await complete("backy -b vm restore --log-level er"), ["error"])
    const revisions = ["latest", "first", "all", "clean", ...await shop.ids()]
    assert.sameMembers(await complete("backy -b vm restore -r "), revisions)
    assert.include(await complete("backy -b "), "vm/")
  })

  it.runIf(isThere("zsh"))("complete in zsh, with the first press of the key", async () => {
    // typed ahead: what a line was completed to is what the function gets
    const keys = ["backy st\t", "backy -b vm tags a\t", "backy restore --sal\t", "backy --log-level er\t"]
    for (const line of keys) {
      const { out } = await bash(
        `PATH="${PROGRAM.slice(0, -"/backy".length)}:$PATH"; mkdir -p functions
        backy --completions zsh > functions/_backy
        TERM=dumb script -qec 'zsh -f -i' /dev/null <<'END'
fpath=($PWD/functions $fpath); autoload -U compinit; compinit -u -D; backy() { print -r -- "GOT $*." }
${line}
 exit
END`,
        shop.folder
      )
      const completed: Readonly<Record<string, string>> = { st: "status", a: "add", "--sal": "--salvage", er: "error" }
      const [last = ""] = line.trim().split(" ").slice(-1)
      const expected = `GOT ${line.trim().slice("backy ".length, -last.length)}${completed[last]}.`
      assert.include(out, expected)
    }
  })
})

describe("log files", () => {
  it("are appended to, and tell of the end of a failed command", async () => {
    const log = `${shop.folder}/backy.log`
    for (let run = 0; run < 2; run++) {
      const { err } = await backy("-l", log, ...shop.args("restore", "-r", "nope", "/x"))
      assert.match(err, /^backy: there is no revision/)
    }
    const lines = readFileSync(log, "utf8").trimEnd().split("\n")
    assert.strictEqual(lines.length, 2)
    assert.match(lines[0] ?? "", /^\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d \d+ ERROR backy: there is no revision/)
  })
})
