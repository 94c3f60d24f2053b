/** dist/backy: the launcher alone with a stand-in for the program, then with the built program. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const project = fileURLToPath(new URL("../..", import.meta.url))
const packagedNode = `node_modules/node-linux-${process.arch}/bin/node`

/** A place of its own for every test; removed at the end. */
let root = ""
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "backy-launcher-")))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const write = (path: string, text: string) => {
  mkdirSync(join(path, ".."), { recursive: true })
  writeFileSync(path, text)
  chmodSync(path, 0o755)
}

/** An installation whose program prints what it was given, and ends as its first argument says. */
const install = (name: string, options: { readonly packaged: boolean }) => {
  const home = join(root, name)
  write(
    join(home, "dist/start.cjs"),
    `const [what, ...rest] = process.argv.slice(2)
    if (what === "exit") process.exit(Number(rest[0]))
    if (what === "die") process.kill(process.pid, "SIGTERM")
    console.log(JSON.stringify({ rest, pid: process.pid, node: process.argv0 }))`
  )
  write(join(home, "dist/backy"), readFileSync(join(project, ".ci/launcher.sh"), "utf8"))
  if (options.packaged) {
    mkdirSync(join(home, packagedNode, ".."), { recursive: true })
    symlinkSync(process.execPath, join(home, packagedNode))
  }
  return home
}

/** A folder for PATH that holds a `node` of the given version, which says so instead of running a program. */
const pathWithNode = (version: string) => {
  const folder = join(root, `path-${version}`)
  write(join(folder, "node"), `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo "node from PATH runs $*"\n`)
  return folder
}

const run = (
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd?: string; readonly PATH?: string } = {}
) =>
  spawnSync(command, args, {
    cwd: options.cwd ?? "/",
    encoding: "utf8",
    env: { PATH: options.PATH ?? "/usr/bin:/bin" }
  })

const reportOf = (stdout: string) => JSON.parse(stdout) as { rest: Array<string>; pid: number; node: string }

describe("the launcher", () => {
  it("runs the program with all arguments from any directory, also with spaces in its path", () => {
    const home = install("with spaces in it", { packaged: true })
    const args = ["args", "a b", "", "*", "$HOME", "--"]
    assert.deepStrictEqual(reportOf(run(join(home, "dist/backy"), args).stdout).rest, args.slice(1))
    assert.deepStrictEqual(reportOf(run("./backy", args, { cwd: join(home, "dist") }).stdout).rest, args.slice(1))
    assert.deepStrictEqual(reportOf(run("dist/backy", args, { cwd: home }).stdout).rest, args.slice(1))
    assert.deepStrictEqual(
      reportOf(run("sh", ["backy", ...args], { cwd: join(home, "dist") }).stdout).rest,
      args.slice(1)
    )
  })

  it("is found through PATH and through symbolic links to itself, to links and to its folder", () => {
    const home = install("linked", { packaged: true })
    const bin = join(root, "bin")
    mkdirSync(bin)
    symlinkSync("../linked/dist/backy", join(bin, "relative"))
    symlinkSync(join(bin, "relative"), join(bin, "backy"))
    symlinkSync(join(home, "dist"), join(root, "folder"))
    for (const command of [join(bin, "relative"), join(bin, "backy"), join(root, "folder/backy")]) {
      assert.deepStrictEqual(reportOf(run(command, ["x", "y"]).stdout).rest, ["y"])
    }
    const found = run("sh", ["-c", "backy x y"], { PATH: `${bin}:/usr/bin:/bin` })
    assert.deepStrictEqual(reportOf(found.stdout).rest, ["y"])
  })

  it("prefers the Node.js beside it to the one on PATH, also when backy is itself a dependency", () => {
    const PATH = `${pathWithNode("v99.0.0")}:/usr/bin:/bin`
    const home = install("preferring", { packaged: true })
    assert.deepStrictEqual(reportOf(run(join(home, "dist/backy"), ["x"], { PATH }).stdout).rest, [])

    const dependency = install("outer/node_modules/backy", { packaged: false })
    mkdirSync(join(root, "outer", packagedNode, ".."), { recursive: true })
    symlinkSync(process.execPath, join(root, "outer", packagedNode))
    assert.deepStrictEqual(reportOf(run(join(dependency, "dist/backy"), ["x"], { PATH }).stdout).rest, [])
  })

  it("takes the node on PATH when it brings none and that one is new enough", () => {
    const home = install("using PATH", { packaged: false })
    for (const version of ["v24.0.0", "v25.1.0-pre", "v100.0.0"]) {
      const { status, stdout } = run(join(home, "dist/backy"), ["a", "b"], { PATH: pathWithNode(version) })
      assert.deepStrictEqual({ status, stdout }, {
        status: 0,
        stdout: `node from PATH runs --disable-sigusr1 ${home}/dist/start.cjs a b\n`
      })
    }
  })

  it("says in one sentence which Node.js it needs when the one on PATH is too old or missing", () => {
    const home = install("without node", { packaged: false })
    const advice = "install it, or run `npm ci` in backy's folder, which brings its own.\n"
    for (const version of ["v20.20.2", "v8.0.0", "v9", "v23.11.1"]) {
      const { status, stderr, stdout } = run(join(home, "dist/backy"), ["--help"], { PATH: pathWithNode(version) })
      const sentence = `backy: Node.js 24 or newer is needed, but the one on PATH is ${version}: ${advice}`
      assert.deepStrictEqual({ status, stderr, stdout }, { status: 1, stderr: sentence, stdout: "" })
    }
    const { status, stderr, stdout } = run(join(home, "dist/backy"), ["--help"], { PATH: join(root, "nowhere") })
    const sentence = `backy: Node.js 24 or newer is needed, but there is none on PATH: ${advice}`
    assert.deepStrictEqual({ status, stderr, stdout }, { status: 1, stderr: sentence, stdout: "" })
  })

  it("becomes the program: the process, its exit code and the signal that ends it are the program's own", () => {
    const backy = join(install("becoming", { packaged: true }), "dist/backy")
    assert.strictEqual(run(backy, ["exit", "75"]).status, 75)
    assert.strictEqual(run(backy, ["exit", "0"]).status, 0)
    assert.strictEqual(run(backy, ["die"]).signal, "SIGTERM")
    const { pid, stdout } = run(backy, ["x"])
    assert.strictEqual(reportOf(stdout).pid, pid)
  })
})

describe("the launcher's `check`", () => {
  /** A result that a monitoring system takes for UNKNOWN, and why. */
  const reasonOf = ({ status, stdout }: ReturnType<typeof run>) => status === 3 ? stdout : `exit code ${status}`

  it("is UNKNOWN without a Node.js, where every other command fails", () => {
    const backy = join(install("check without node", { packaged: false }), "dist/backy")
    const PATH = join(root, "nowhere")
    assert.match(
      reasonOf(run("/bin/sh", [backy, "-b", "find", "check", "-c", "x"], { PATH })),
      /^UNKNOWN: Node\.js 24 or newer is/
    )
    assert.strictEqual(run("/bin/sh", [backy, "-b", "check", "backup", "check"], { PATH }).status, 1)
  })

  it("is UNKNOWN when its Node.js or the program cannot be run, crashes, or says nothing", () => {
    const home = install("check that fails", { packaged: true })
    const backy = join(home, "dist/backy")
    for (
      const program of ["process.abort()", "process.exit(1)", "throw new Error()", "syntax error", "process.exit(75)"]
    ) {
      write(join(home, "dist/start.cjs"), program)
      assert.match(
        reasonOf(run(backy, ["check"])),
        /^UNKNOWN: backy ended without an answer \(code \d+\); standard error says more\n$/
      )
    }
    rmSync(join(home, "dist/start.cjs"))
    assert.match(reasonOf(run(backy, ["check"])), /^UNKNOWN: backy ended without an answer/)
    rmSync(join(home, packagedNode))
    write(join(home, packagedNode), "no program at all")
    assert.match(reasonOf(run(backy, ["check"])), /^UNKNOWN: backy ended without an answer/)
  })

  it("answers as the program does", () => {
    const home = install("check that answers", { packaged: true })
    for (const [code, word] of [[0, "OK"], [1, "WARNING"], [2, "CRITICAL"], [3, "UNKNOWN"]] as const) {
      write(join(home, "dist/start.cjs"), `console.log("${word}: it is\\nso | a=1"); process.exitCode = ${code}`)
      const { status, stdout } = run(join(home, "dist/backy"), ["-v", "check", "a b"])
      assert.deepStrictEqual({ status, stdout }, { status: code, stdout: `${word}: it is\nso | a=1\n` })
    }
  })
})

describe("the built program", () => {
  const backy = join(project, "dist/backy")

  it("runs from another directory and through a symbolic link", () => {
    const link = join(root, "built-backy")
    symlinkSync(backy, link)
    for (const command of [backy, link]) {
      const { status, stderr, stdout } = run(command, ["--version"])
      assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
      assert.match(stdout, /\d+\.\d+\.\d+/)
    }
  })

  it("passes a failing exit code on", () => {
    assert.isAbove(run(backy, ["--no-such-option"]).status ?? 0, 0)
  })

  it("works with nothing but its own folder and a Node.js", () => {
    const folder = join(root, "alone")
    mkdirSync(folder)
    spawnSync("cp", ["-r", join(project, "dist"), folder])
    mkdirSync(join(folder, "bin"))
    symlinkSync(process.execPath, join(folder, "bin/node"))
    const { status, stderr, stdout } = run(join(folder, "dist/backy"), ["--help"], { PATH: join(folder, "bin") })
    assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
    assert.include(stdout, "backup")
  })
})
