/**
 * Completion scripts. Those of @effect/cli know neither commands behind `-b DIR` nor commands of commands; these are
 * made of the same words that the command line is parsed with, and offer the ids of revisions, too.
 */
import type { Grammar } from "./argv.ts"

/** The shells that there is a script for. */
export const shells = ["bash", "fish", "zsh"] as const

/** A command by its words, as `backy tags set`. */
interface Place {
  readonly path: string
  readonly grammar: Grammar
}

const placesOf = (path: string, grammar: Grammar): ReadonlyArray<Place> => [
  { path, grammar },
  ...[...grammar.commands].flatMap(([name, inner]) => placesOf(`${path} ${name}`, inner))
]

/** What is offered for the values of options; for others, file names. */
const values: Readonly<Record<string, string>> = {
  "--revision": "latest first all clean $(backy \"${where[@]}\" find -r all --uuid 2>/dev/null)",
  "--completions": shells.join(" "),
  "--log-level": "all debug info warning error none"
}

const bash = (places: ReadonlyArray<Place>, root: Grammar): ReadonlyArray<string> => {
  const options = (grammar: Grammar) => new Map([...root.options, ...root.builtIn, ...grammar.options])
  return [
    "_backy() {",
    "    local cur=${COMP_WORDS[COMP_CWORD]} path=backy value= words= i word",
    "    local -a where=()",
    "    for ((i = 1; i < COMP_CWORD; i++)); do",
    "        word=${COMP_WORDS[i]}",
    "        if [[ -n $value ]]; then",
    "            [[ $value == --directory ]] && where=(-b \"$word\")",
    "            value=",
    "            continue",
    "        fi",
    "        case \"$path $word\" in",
    ...places.slice(1).map(({ path }) => `            "${path}") path="${path}" ;;`),
    ...places.flatMap(({ grammar, path }) =>
      [...options(grammar)].flatMap(([word, { name, takesValue }]) =>
        takesValue ? [`            "${path} ${word}") value=${name} ;;`] : []
      )
    ),
    "        esac",
    "    done",
    "    case \"$value\" in",
    ...Object.entries(values).map(([name, words]) => `        ${name}) words="${words}" ;;`),
    "        \"\")",
    "            case \"$path\" in",
    ...places.map(({ grammar, path }) =>
      `                "${path}") [[ $cur == -* ]] && words="${[...options(grammar).keys()].join(" ")}" || words="${
        [...grammar.commands.keys()].join(" ")
      }" ;;`
    ),
    "            esac ;;",
    "    esac",
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))",
    "}",
    // where nothing is offered, file names are
    "complete -o default -F _backy backy"
  ]
}

const fish = (places: ReadonlyArray<Place>, root: Grammar): ReadonlyArray<string> => {
  const quote = (text: string) => `'${text.replaceAll(/['\\]/g, "\\$&")}'`
  return [
    "function __backy_at",
    "    set -l path backy",
    "    set -l value",
    "    for word in (commandline -opc)[2..-1]",
    "        if test -n \"$value\"",
    "            set value ''",
    "            continue",
    "        end",
    "        switch \"$path $word\"",
    ...places.slice(1).map(({ path }) => `            case ${quote(path)}\n                set path ${quote(path)}`),
    ...places.flatMap(({ grammar, path }) =>
      [...root.options, ...root.builtIn, ...grammar.options].flatMap(([word, { takesValue }]) =>
        takesValue ? [`            case ${quote(`${path} ${word}`)}\n                set value yes`] : []
      )
    ),
    "        end",
    "    end",
    "    test \"$path\" = \"$argv[1]\"",
    "end",
    ...places.flatMap(({ grammar, path }) => {
      const condition = `complete -c backy -n ${quote(`__backy_at ${quote(path)}`)}`
      return [
        ...[...grammar.commands].map(([name, inner]) =>
          `${condition} -f -a ${name} -d ${quote(inner.describe().summary)}`
        ),
        ...[...grammar.options].map(([word, { name, takesValue }]) => {
          const form = word.startsWith("--") ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`
          const offered = name === "--revision" ? " -f -a 'latest first all clean'" : ""
          return `${condition} ${form}${takesValue ? " -r" : ""}${offered}`
        })
      ]
    })
  ]
}

/** The script for a shell. */
export const script = (shell: (typeof shells)[number], root: Grammar): string => {
  const places = placesOf("backy", root)
  switch (shell) {
    case "bash":
      return bash(places, root).join("\n")
    case "fish":
      return fish(places, root).join("\n")
    case "zsh":
      // zsh runs completions that were written for bash
      return ["#compdef backy", "autoload -U +X bashcompinit && bashcompinit", ...bash(places, root)].join("\n")
  }
}
