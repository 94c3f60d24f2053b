import { run } from "./measure.ts"
import { piped, type Tool } from "./tool.ts"

/** restic as it comes: encrypted, compressed with zstd. It compares nothing with the source. */
export const resticTool = (folder: string, image: string): Tool => {
  const repository = `${folder}/restic`
  const restic = (...words: ReadonlyArray<string>) => ({
    argv: ["restic", "--quiet", ...words],
    env: { RESTIC_REPOSITORY: repository, RESTIC_PASSWORD: "bench", RESTIC_CACHE_DIR: `${folder}/restic-cache` }
  })
  return {
    name: "restic",
    repository,
    begin: () => void run(restic("init", "--repository-version", "2")),
    backup: (turn) => restic("backup", "--tag", String(turn), image),
    restore: (folder) => ({ command: restic("restore", "latest", "--target", folder), path: `${folder}${image}` }),
    stdout: () => piped(restic("dump", "latest", image)),
    verify: () => restic("check", "--read-data"),
    forget: () => {
      const [first] = JSON.parse(run(restic("snapshots", "--json"))) as ReadonlyArray<{ readonly id: string }>
      run(restic("forget", first?.id ?? ""))
    },
    purge: () => restic("prune", "--max-unused", "0"),
    status: () => restic("snapshots"),
    help: () => restic("--help")
  }
}
