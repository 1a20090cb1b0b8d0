# Completion for zsh. In ~/.zshrc: eval "$(lumina completion zsh)"

(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }

_lumina_complete() { # $1: how many words call the program
    local -a program given lines keys others
    program=("${(@)words[1,$1]}")
    program[1]=${~program[1]}
    given=("${(@)words[$1 + 1,CURRENT]}")
    given[-1]=$PREFIX
    lines=("${(@f)$("${program[@]}" complete -- "${given[@]}" 2> /dev/null)}")
    keys=("${(@M)lines:#*=}")
    others=("${(@)lines:#(*=|@files|)}")
    (( $#keys )) && compadd -S '' -- "${keys[@]}"
    (( $#others )) && compadd -- "${others[@]}"
    if (( $lines[(Ie)@files] )); then
        compset -P 1 '*='
        _files
    fi
}

_lumina() { _lumina_complete 1 }

_lumina_python() { # python -m lumina_core; anything else as before
    if (( CURRENT > 3 )) && [[ $words[2] == -m && $words[3] == lumina_core ]]; then
        _lumina_complete 3
    elif (( $+functions[$_lumina_before] )); then
        $_lumina_before "$@"
    else
        _default "$@"
    fi
}

compdef _lumina lumina
if [[ ${_comps[python]-} != _lumina_python ]]; then
    typeset -g _lumina_before=${_comps[python]:-_python}
    compdef _lumina_python python python3
fi
