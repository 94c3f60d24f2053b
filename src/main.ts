/** The program: arguments in, exit code out. The only place where anything is run. */
import * as Runtime from "@effect/platform/Runtime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Cli from "./cli/Cli.ts"
import { consoleOver } from "./cli/console.ts"
import { ending, EXIT } from "./cli/exit.ts"
import * as Screen from "./cli/Screen.ts"
import * as Signals from "./cli/signals.ts"
import * as Stdout from "./cli/Stdout.ts"
import { Terminal } from "./cli/Terminal.ts"
import * as Finished from "./operation/Finished.ts"
import { endWithoutKoffi } from "./platform/kernel.ts"
import * as RunningPrograms from "./platform/runningPrograms.ts"

// whoever closed standard error does not want to hear of it
process.stderr.on("error", () => undefined)
const screen = Screen.make(process.stderr, process.env)
const stdout = Stdout.ofProcess()
const { console, settled } = consoleOver(stdout, screen)

// koffi would sync standard output and error now; on a disk that fails it then waits for itself for ever
process.once("exit", endWithoutKoffi)

const finished = Finished.make()
let code: number = EXIT.bug
let command = ""
let isServer = false
let signal: Signals.Ending | undefined
// the launcher has seen that the signal was ignored when we were started (nohup); Node.js forgets that
const isNoHangup = process.env["BACKY_NO_HANGUP"] === "1"
delete process.env["BACKY_NO_HANGUP"]

const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  let isDone = false
  const keepAlive = setInterval(() => undefined, 2 ** 31 - 1)
  Signals.listen(process, {
    // the scheduler has a listener of its own for it
    isIgnored: (one) => one === "SIGHUP" && (isNoHangup || command === "scheduler"),
    limit: () => command === "scheduler" ? Signals.LIMITS.scheduler : Signals.LIMITS.command,
    end: (one) => {
      // all is done but that standard error has not taken everything
      if (isDone) process.exit(code)
      signal = one
      fiber.unsafeInterruptAsFork(fiber.id())
    },
    endAtOnce: (one, why) => {
      RunningPrograms.killAll()
      if (why === "too late") {
        screen.line(`backy: interrupted, but it could not be ended in time: what is left, the next run takes away`)
      }
      // not process.exit: it waits for threads, and it may be one of them that hangs
      process.removeAllListeners(one)
      process.kill(process.pid, why === "too late" ? "SIGKILL" : one)
    }
  })
  fiber.addObserver((exit) => {
    isDone = true
    clearInterval(keepAlive)
    teardown(exit, (exitCode) => process.exit(exitCode))
  })
})

Cli.run(process.argv.slice(2), (globals) => {
  command = globals.command
  isServer = globals.isServer
  // loaded when a command is run: --help and a mistyped word need none of it
  return Layer.unwrapEffect(Effect.promise(async () => (await import("./App.ts")).AppLive({ stdout, screen }, globals)))
}).pipe(
  Effect.tap((result) => Effect.sync(() => code = result)),
  Effect.provideService(Finished.Finished, finished),
  Effect.provideService(Terminal, { isTerminal: process.stdout.isTTY, settled }),
  Effect.withConsole(console),
  runMain({
    disableErrorReporting: true,
    disablePrettyLogger: true,
    teardown: (exit, onExit) => {
      if (Exit.isSuccess(exit)) {
        // not before standard error has taken everything
        process.stderr.write("", () => onExit(code))
        return
      }
      // to be told to stop is how a server ends
      if (isServer && signal !== undefined) return onExit(EXIT.done)
      // the work was done when the signal came: it has done what it was asked for
      const outcome = finished.outcome()
      if (outcome !== undefined) {
        screen.line("backy: interrupted, after all was done")
        return onExit(outcome === "done" ? EXIT.done : EXIT.failed)
      }
      // all errors have been told: this is an interrupt
      const { code: interrupted, lines } = ending(exit.cause, { verbose: false, signal })
      for (const line of lines) screen.line(line)
      onExit(interrupted)
    }
  })
)
