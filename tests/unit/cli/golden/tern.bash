# bash completion for tern, made by `tern completion bash`
_tern() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= words= i
	case $prev in
	--output|-o) COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
	--dir) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--node-file) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--timeout) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--topology) COMPREPLY=($(compgen -W "2+w 3 3+w 1 2+w+1" -- "$cur")); return ;;
	--net) COMPREPLY=($(compgen -W "memif veth veth-xdp" -- "$cur")); return ;;
	--log-size) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--profile) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--config|-c) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--cluster-id) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--to) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--address) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--rate) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--connections) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--pipeline) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--mix) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--keys) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--value-size) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--duration) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--history) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--runs) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--mtu) COMPREPLY=($(compgen -W "1500 9000" -- "$cur")); return ;;
	--class) COMPREPLY=($(compgen -W "durable memory both" -- "$cur")); return ;;
	--points) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--links) COMPREPLY=($(compgen -W "1 2" -- "$cur")); return ;;
	--ip) COMPREPLY=($(compgen -W "4 6" -- "$cur")); return ;;
	--log) COMPREPLY=($(compgen -W "file ram" -- "$cur")); return ;;
	--ec) COMPREPLY=($(compgen -W "1+0 1+1 2+1 4+2 8+3" -- "$cur")); return ;;
	--from) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--wipe) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--interval) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--count) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] && break
		path+=${path:+ }${COMP_WORDS[i]}
	done
	case $path in
	"") words="status device job node config cluster log backup dev bench version commands completion man" ;;
	"device") words="scan list show can-remove add remove fail iostat replace scrub rebuild" ;;
	"device scrub") words="start pause resume cancel rate status" ;;
	"device rebuild") words="rate status" ;;
	"job") words="list show wait cancel" ;;
	"node") words="init rejoin" ;;
	"config") words="check" ;;
	"cluster") words="switchover add remove promote demote replace-witness" ;;
	"log") words="status verify divergent" ;;
	"log divergent") words="list export" ;;
	"backup") words="create list verify restore" ;;
	"dev") words="up down status kill stop cont start cut fault heal" ;;
	"bench") words="run compare raw ec disk replicate" ;;
	"status"*) words="--help --output --dir --node-file --timeout" ;;
	"device scan"*) words="--help --output --config" ;;
	"device list"*) words="--help --output --dir --node-file --timeout" ;;
	"device show"*) words="--help --output --dir --node-file --timeout" ;;
	"device can-remove"*) words="--help --output --dir --node-file --timeout" ;;
	"device add"*) words="--help --output --config --wipe" ;;
	"device remove"*) words="--help --output --config" ;;
	"device fail"*) words="--help --output --dir --node-file --timeout" ;;
	"device iostat"*) words="--help --output --dir --node-file --timeout --interval --count" ;;
	"device replace"*) words="--help --output --timeout --config --wipe" ;;
	"device scrub start"*) words="--help --output --dir --node-file --timeout" ;;
	"device scrub pause"*) words="--help --output --dir --node-file --timeout" ;;
	"device scrub resume"*) words="--help --output --dir --node-file --timeout" ;;
	"device scrub cancel"*) words="--help --output --dir --node-file --timeout" ;;
	"device scrub rate"*) words="--help --output --dir --node-file --timeout" ;;
	"device scrub status"*) words="--help --output --dir --node-file --timeout" ;;
	"device rebuild rate"*) words="--help --output --dir --node-file --timeout" ;;
	"device rebuild status"*) words="--help --output --dir --node-file --timeout" ;;
	"job list"*) words="--help --output --dir --node-file --timeout" ;;
	"job show"*) words="--help --output --dir --node-file --timeout" ;;
	"job wait"*) words="--help --output --dir --node-file --timeout" ;;
	"job cancel"*) words="--help --output --dir --node-file --timeout" ;;
	"node init"*) words="--help --output --config --cluster-id --wipe" ;;
	"node rejoin"*) words="--help --output --config --cluster-id --wipe" ;;
	"config check"*) words="--help --output" ;;
	"cluster switchover"*) words="--help --output --dir --node-file --timeout" ;;
	"cluster add"*) words="--help --output --dir --node-file --timeout --learner" ;;
	"cluster remove"*) words="--help --output --dir --node-file --timeout" ;;
	"cluster promote"*) words="--help --output --dir --node-file --timeout" ;;
	"cluster demote"*) words="--help --output --dir --node-file --timeout" ;;
	"cluster replace-witness"*) words="--help --output --dir --node-file --timeout" ;;
	"log status"*) words="--help --output --dir --node-file --timeout" ;;
	"log verify"*) words="--help --output --dir --node-file --timeout --deep" ;;
	"log divergent list"*) words="--help --output --dir --node-file --timeout" ;;
	"log divergent export"*) words="--help --output --dir --node-file --timeout --to" ;;
	"backup create"*) words="--help --output --timeout --config --to --ec" ;;
	"backup list"*) words="--help --output --from" ;;
	"backup verify"*) words="--help --output --from" ;;
	"backup restore"*) words="--help --output --config --cluster-id --to --from" ;;
	"dev up"*) words="--help --output --dir --timeout --topology --net --log-size --profile --mtu --links --ip --log --ec" ;;
	"dev down"*) words="--help --output --dir --timeout" ;;
	"dev status"*) words="--help --output --dir --timeout" ;;
	"dev kill"*) words="--help --output --dir --timeout" ;;
	"dev stop"*) words="--help --output --dir --timeout" ;;
	"dev cont"*) words="--help --output --dir --timeout" ;;
	"dev start"*) words="--help --output --dir --timeout" ;;
	"dev cut"*) words="--help --output --dir --timeout --one-way" ;;
	"dev fault"*) words="--help --output --dir --timeout" ;;
	"dev heal"*) words="--help --output --dir --timeout --one-way" ;;
	"bench run"*) words="--help --output --dir --node-file --timeout --address --rate --connections --pipeline --mix --keys --value-size --duration --history" ;;
	"bench compare"*) words="--help --output" ;;
	"bench raw"*) words="--help --output --dir --duration --runs" ;;
	"bench ec"*) words="--help --output --duration --runs --ec" ;;
	"bench disk"*) words="--help --output --dir --duration --runs --ec" ;;
	"bench replicate"*) words="--help --output --dir --node-file --timeout --keys --duration --runs --class --points" ;;
	"version"*) words="--help --output" ;;
	"commands"*) words="--help --output" ;;
	"completion"*) words="--help" ;;
	"man"*) words="--help" ;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _tern tern
