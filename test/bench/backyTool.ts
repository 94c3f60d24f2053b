import { fileURLToPath } from "node:url"
import { run } from "./measure.ts"
import { piped, type Tool } from "./tool.ts"

/** The program as the build leaves it. */
export const PROGRAM = fileURLToPath(new URL("../../dist/backy", import.meta.url))

/** backy, with everything that it verifies by itself. */
export const backyTool = (folder: string, image: string): Tool => {
  const repository = `${folder}/backy`
  const backy = (...words: ReadonlyArray<string>) => ({ argv: [PROGRAM, "-b", repository, ...words] })
  return {
    name: "backy",
    repository,
    begin: () => void run(backy("init", "file", image)),
    backup: () => backy("backup", "daily"),
    restore: (folder) => ({ command: backy("restore", `${folder}/image`), path: `${folder}/image` }),
    stdout: () => piped(backy("restore", "-")),
    verify: () => backy("verify", "-r", "all"),
    forget: () => void run(backy("forget", "-r", "first")),
    purge: () => backy("purge"),
    status: () => backy("status"),
    help: () => ({ argv: [PROGRAM, "--help"] })
  }
}
