package hackillinois

import "sallyport/internal/fault"

// Statuses are what the routes answer a fault with.
func Statuses(c fault.Code) map[string][]int {
	all := map[string][]int{}
	for route, ws := range map[string]words{
		"start": startWords, "callback": callbackWords, "exchange": exchangeWords, "roles": rolesWords, "add": addWords, "remove": removeWords,
		"refresh": refreshWords, "list": listWords, "by role": byRoleWords, "own profile": ownInfoWords, "profile": infoWords,
		"filter": filterWords, "describe": describeWords,
	} {
		all[route] = append(all[route], ws.of(fault.New(c)).Status)
	}
	return all
}

// ForAtob is forAtob.
func ForAtob(text []byte) []byte { return forAtob(text) }
