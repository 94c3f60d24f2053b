import { mkdirSync } from "node:fs"
import { run } from "./measure.ts"
import { piped, type Tool } from "./tool.ts"

/** borg with chunks of 4 MiB as ours, not encrypted. It compares nothing with the source. */
export const borgTool = (folder: string, image: string, compression: "zstd,1" | "lz4"): Tool => {
  const base = `${folder}/borg-${compression.replace(",", "")}`
  const repository = `${base}/repository`
  const borg = (...words: ReadonlyArray<string>) => ({
    argv: ["borg", ...words],
    env: {
      BORG_BASE_DIR: base,
      BORG_REPO: repository,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes",
      BORG_CHECK_I_KNOW_WHAT_I_AM_DOING: "YES"
    }
  })
  let newest = 0
  let oldest = 1
  return {
    name: `borg ${compression}`,
    repository,
    begin: () => {
      mkdirSync(base, { recursive: true })
      run(borg("init", "--encryption", "none"))
      newest = 0
      oldest = 1
    },
    backup: (turn) => {
      newest = turn
      return borg("create", "--compression", compression, "--chunker-params", "fixed,4194304", `::${turn}`, image)
    },
    restore: (folder) => ({
      command: { ...borg("extract", `::${newest}`), cwd: folder },
      path: `${folder}${image}`
    }),
    stdout: () => piped(borg("extract", "--stdout", `::${newest}`)),
    verify: () => borg("check", "--verify-data"),
    forget: () => void run(borg("delete", `::${oldest++}`)),
    purge: () => borg("compact", "--threshold", "0"),
    status: () => borg("list"),
    help: () => borg("--help")
  }
}
