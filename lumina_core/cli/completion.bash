# Completion for bash. In ~/.bashrc: eval "$(lumina completion bash)"

_lumina_complete() { # $1: how many words call the program
    local first=$1 index word glue last prefix line lines words=() program=()
    for ((index = 0; index < first; index++)); do program+=("${COMP_WORDS[index]}"); done
    program[0]=${program[0]/#\~\//$HOME/}
    for ((index = first; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]#[\'\"]} # a quote that is open or around a word is not part of it
        [[ $word == "${COMP_WORDS[index]}" ]] || word=${word%[\'\"]}
        # bash breaks words at = and :, which stand in COMP_WORDBREAKS; here they are whole again
        if [[ -n $word && ${#words[@]} -gt 0 && ($glue || $word =~ ^[=:]+$) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        [[ $word =~ ^[=:]+$ ]] && glue=1 || glue=
    done
    last=${words[${#words[@]} - 1]}
    word=${COMP_WORDS[COMP_CWORD]#[\'\"]}
    [[ $word =~ ^[=:]+$ ]] && word=
    prefix=${last%"$word"} # bash keeps it in front of a reply

    COMPREPLY=()
    lines=$("${program[@]}" complete -- "${words[@]}" 2> /dev/null) || return 0
    while IFS= read -r line; do
        case $line in
            @files)
                compopt -o filenames -o default 2> /dev/null
                line=
                [[ $last == *=* ]] && line=${last%%=*}=
                while IFS= read -r word; do
                    word=$line$word
                    COMPREPLY+=("${word#"$prefix"}")
                done < <(compgen -f -- "${last#"$line"}")
                ;;
            ?*)
                [[ $line == *= ]] && compopt -o nospace 2> /dev/null
                COMPREPLY+=("${line#"$prefix"}")
                ;;
        esac
    done <<< "$lines"
}

_lumina() { _lumina_complete 1; }

_lumina_python() { # python -m lumina_core; anything else as before
    local before=${_lumina_before[${1##*/}]-}
    if [[ $COMP_CWORD -gt 2 && ${COMP_WORDS[1]} == -m && ${COMP_WORDS[2]} == lumina_core ]]; then
        _lumina_complete 3
    elif [[ $before ]]; then
        "$before" "$@"
    else
        compopt -o bashdefault -o default 2> /dev/null
        COMPREPLY=()
    fi
}

complete -F _lumina lumina
declare -gA _lumina_before
if declare -F _completion_loader > /dev/null; then # else it would replace ours when it comes late
    _completion_loader python 2> /dev/null
    _completion_loader python3 2> /dev/null
fi
for _lumina_name in python python3; do
    _lumina_line=$(complete -p "$_lumina_name" 2> /dev/null)
    if [[ $_lumina_line =~ \ -F\ ([^ ]+)\  ]]; then
        [[ ${BASH_REMATCH[1]} == _lumina_python ]] && continue
        _lumina_before[$_lumina_name]=${BASH_REMATCH[1]}
    elif [[ $_lumina_line ]]; then
        continue # completed in another way, which we could not go back to
    fi
    complete -F _lumina_python "$_lumina_name"
done
unset _lumina_name _lumina_line
