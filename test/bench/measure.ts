/** Runs a program once and says what that took. */
import { spawn, spawnSync } from "node:child_process"
import * as FS from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"

/** A program to be measured. */
export interface Command {
  readonly argv: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** What one run took. Times in seconds, memory in bytes. */
export interface Measured {
  readonly seconds: number
  /** Of the program and all that it started, user and system together; unknown without `/usr/bin/time`. */
  readonly cpu: number | undefined
  /** The most memory that one of its processes held; unknown without `/usr/bin/time`. */
  readonly memory: number | undefined
  /** How long each phase of a backy command was, and what came before and after them ("begin", "end"). */
  readonly phases: Readonly<Record<string, number>>
  /** Which share of the processors others used meanwhile: 0 to 1. */
  readonly foreign: number
  readonly output: string
}

const TIME = "/usr/bin/time"
const hasTime = FS.existsSync(TIME)

/** Ticks of all processors since the start that were not idle: a hundredth of a second each. */
const busyTicks = (): number => {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = FS.readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!.split(/ +/).map(Number)
  return user + nice + system + irq + softirq + steal
}

let counter = 0

/** Runs a command to its end. Its standard output goes nowhere unless `keep`; fails when it does not end with 0. */
export const measure = (command: Command, options: { readonly keep?: boolean } = {}): Promise<Measured> =>
  new Promise((resolve, reject) => {
    const report = join(tmpdir(), `backy-bench-time-${process.pid}-${counter++}`)
    const argv = hasTime ? [TIME, "-q", "-o", report, "-f", "%U %S %M", ...command.argv] : command.argv
    const [program = "", ...args] = argv
    const busy = busyTicks()
    const began = performance.now()
    const marks: Array<readonly [string, number]> = [["begin", began]]
    const child = spawn(program, args, {
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
      env: { ...process.env, ...command.env, BACKY_PROGRESS_FD: "3" },
      stdio: ["ignore", options.keep === true ? "pipe" : "ignore", "pipe", "pipe"]
    })
    let complaint = ""
    let output = ""
    child.stdout?.on("data", (data: Buffer) => output += data.toString())
    child.stderr?.on("data", (data: Buffer) => complaint += data.toString())
    child.stdio[3]?.on("data", (data: Buffer) => {
      for (const [, phase = ""] of data.toString().matchAll(/"phase":"(\w+)","bytes":0/g)) {
        if (marks.at(-1)?.[0] !== phase) marks.push([phase, performance.now()])
      }
    })
    child.once("error", reject)
    let seconds = 0
    child.once("exit", () => seconds = (performance.now() - began) / 1000)
    child.once("close", (code) => {
      const [user = 0, system = 0, kibibytes = 0] = hasTime ? readReport(report) : []
      if (code !== 0) return reject(new Error(`${command.argv.join(" ")} ended with ${code}: ${complaint}`))
      const cpu = hasTime ? user + system : undefined
      const others = (busyTicks() - busy) / 100 - (cpu ?? seconds)
      resolve({
        seconds,
        cpu,
        memory: hasTime ? kibibytes * 1024 : undefined,
        phases: lengths(marks, began + seconds * 1000),
        foreign: Math.max(0, others / (seconds * availableParallelism())),
        output
      })
    })
  })

const readReport = (path: string): ReadonlyArray<number> => {
  const numbers = FS.readFileSync(path, "utf8").trim().split("\n").at(-1)!.split(" ").map(Number)
  FS.rmSync(path)
  return numbers
}

const lengths = (marks: ReadonlyArray<readonly [string, number]>, ended: number): Record<string, number> =>
  Object.fromEntries(marks.map(([phase, at], index) => [phase, ((marks[index + 1]?.[1] ?? ended) - at) / 1000]))

/** Runs a command that is not measured. */
export const run = ({ argv: [program = "", ...args], cwd, env }: Command): string => {
  const result = spawnSync(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 2 ** 30
  })
  if (result.status !== 0) {
    throw new Error(
      `${program} ${args.join(" ")} ended with ${result.status}: ${result.stderr || result.error?.message}`
    )
  }
  return result.stdout
}

/** Whether a program is installed. */
export const isInstalled = (program: string): boolean =>
  spawnSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" }).status === 0

/** The files below a path, or the path itself. */
const filesBelow = (path: string): ReadonlyArray<string> =>
  FS.statSync(path).isFile()
    ? [path]
    : FS.readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))

const buffer = Buffer.alloc(1024 ** 2)

/** Reads everything once, so that it is in the page cache for whoever comes next. */
export const warm = (paths: ReadonlyArray<string>): void => {
  for (const path of paths.filter((path) => FS.existsSync(path)).flatMap(filesBelow)) {
    const descriptor = FS.openSync(path, "r")
    try {
      while (FS.readSync(descriptor, buffer) > 0);
    } finally {
      FS.closeSync(descriptor)
    }
  }
}

/** Waits until the disk has what was written: nobody is to pay for what was done before. */
export const settle = (): void => {
  spawnSync("sync")
}

/** How many bytes the files below a path hold. */
export const sizeOf = (path: string): number => filesBelow(path).reduce((sum, file) => sum + FS.statSync(file).size, 0)
