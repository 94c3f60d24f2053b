/** The program: arguments in, exit code out. The only place where anything is run. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Cli from "./cli/Cli.ts"
import { consoleOver } from "./cli/console.ts"
import { ending, EXIT } from "./cli/exit.ts"
import * as Screen from "./cli/Screen.ts"
import * as Stdout from "./cli/Stdout.ts"
import { Terminal } from "./cli/Terminal.ts"
import * as Finished from "./operation/Finished.ts"

// whoever closed standard error does not want to hear of it
process.stderr.on("error", () => undefined)
const screen = Screen.make(process.stderr, process.env)
const stdout = Stdout.ofProcess()
const { console, settled } = consoleOver(stdout, screen)

let signal: "SIGINT" | "SIGTERM" | undefined
process.once("SIGINT", () => signal = "SIGINT")
process.once("SIGTERM", () => signal = "SIGTERM")

const finished = Finished.make()
let code: number = EXIT.bug
let command = ""
Cli.run(process.argv.slice(2), (globals) => {
  command = globals.command
  // loaded when a command is run: --help and a mistyped word need none of it
  return Layer.unwrapEffect(Effect.promise(async () => (await import("./App.ts")).AppLive({ stdout, screen }, globals)))
}).pipe(
  Effect.tap((result) => Effect.sync(() => code = result)),
  Effect.provideService(Finished.Finished, finished),
  Effect.provideService(Terminal, { isTerminal: process.stdout.isTTY, settled }),
  Effect.withConsole(console),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    disablePrettyLogger: true,
    teardown: (exit) => {
      if (Exit.isSuccess(exit)) {
        // not before standard error has taken everything
        process.stderr.write("", () => process.exit(code))
        return
      }
      // to be told to stop is how a daemon ends
      if (command === "scheduler" && signal !== undefined) return process.exit(EXIT.done)
      // the work was done when the signal came: it has done what it was asked for
      const outcome = finished.outcome()
      if (outcome !== undefined) {
        screen.line("backy: interrupted, after all was done")
        return process.exit(outcome === "done" ? EXIT.done : EXIT.failed)
      }
      // all errors have been told: this is an interrupt
      const { code: interrupted, lines } = ending(exit.cause, { verbose: false, signal })
      for (const line of lines) screen.line(line)
      process.exit(interrupted)
    }
  })
)
